// `ripstop fault`: breaks things on purpose, through the HTTP API of a fault proxy (Toxiproxy's).

import { parseArgs } from 'node:util'
import { ask } from './mesh-request.ts'
import { type CommandDoc, formatTable, type Terminal } from './terminal.ts'

interface Proxy {
  readonly name: string
  readonly listen: string
  readonly upstream: string
  readonly enabled: boolean
  readonly toxics: readonly { readonly name: string; readonly type: string; readonly attributes: object }[]
}

const HELP = `ripstop fault                            what there is and what is broken now
ripstop fault PROXY TOXIC [NAME=VALUE…]  adds a toxic: latency latency=2000 · black_hole · half_open ·
                                         reset_peer · http_error status=503 every=2 · slow_drip …
ripstop fault PROXY down                 refuses connections
ripstop fault PROXY heal                 takes back everything done to PROXY
ripstop fault heal                       takes back everything
--api URL  the fault proxy's API (default: RIPSTOP_FAULT_API, else http://127.0.0.1:8474)
`

export const fault: CommandDoc = {
  usage: 'fault [PROXY TOXIC [NAME=VALUE…] | PROXY down | PROXY heal | heal] [--api URL]',
  summary: 'break and heal what a fault proxy stands in front of',
  run: async (terminal) => {
    const { values, positionals } = parseArgs({
      args: [...terminal.argv],
      options: { api: { type: 'string' }, help: { type: 'boolean', short: 'h' } },
      allowPositionals: true,
    })
    if (values.help === true) {
      terminal.out(HELP)
      return 0
    }
    const api = values.api ?? terminal.env.RIPSTOP_FAULT_API ?? 'http://127.0.0.1:8474'
    const [proxy, toxic, ...attributes] = positionals
    if (proxy === undefined) return list(terminal, api)
    if (proxy === 'heal') return done(terminal, await send(api, 'POST', '/reset'), 'everything is healed')
    const path = `/proxies/${encodeURIComponent(proxy)}`
    if (toxic === undefined) {
      terminal.error(`what shall happen to ${proxy}?\n\n${HELP}`)
      return 2
    }
    if (toxic === 'heal') return heal(terminal, api, path, proxy)
    if (toxic === 'down') {
      return done(terminal, await send(api, 'POST', path, { enabled: false }), `${proxy} refuses connections`)
    }
    const body = {
      name: toxic,
      type: toxic,
      stream: 'downstream',
      toxicity: 1,
      attributes: parseAttributes(attributes),
    }
    return done(terminal, await send(api, 'POST', `${path}/toxics`, body), `${proxy} has ${toxic}`)
  },
}

async function list(terminal: Terminal, api: string): Promise<number> {
  const response = await send(api, 'GET', '/proxies')
  const proxies = Object.values((await response.json()) as Record<string, Proxy>)
  const rows = proxies.map((proxy) => [
    proxy.name,
    proxy.enabled ? 'passes' : 'down',
    `${proxy.listen} -> ${proxy.upstream}`,
    proxy.toxics.map(({ type, attributes }) => `${type} ${JSON.stringify(attributes)}`).join('  '),
  ])
  terminal.out(`${formatTable([['PROXY', 'STATE', 'WAY', 'TOXICS'], ...rows])}\n`)
  return 0
}

async function heal(terminal: Terminal, api: string, path: string, proxy: string): Promise<number> {
  const found = await send(api, 'GET', path)
  if (!found.ok) return done(terminal, found, '')
  const { toxics } = (await found.json()) as Proxy
  for (const { name } of toxics) await send(api, 'DELETE', `${path}/toxics/${encodeURIComponent(name)}`)
  return done(terminal, await send(api, 'POST', path, { enabled: true }), `${proxy} is healed`)
}

async function done(terminal: Terminal, response: Response, message: string): Promise<number> {
  if (response.ok) {
    terminal.out(`${message}\n`)
    return 0
  }
  const body = (await response.json().catch(() => ({}))) as { readonly error?: string }
  terminal.error(`the fault proxy says: ${body.error ?? `status ${response.status}`}\n`)
  return 1
}

function send(api: string, method: string, path: string, body?: object): Promise<Response> {
  const headers = { 'content-type': 'application/json' }
  return ask(new URL(path, api), { method, headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }) })
}

/** `latency=2000` as `{ latency: 2000 }`: numbers and booleans where they read as such. */
function parseAttributes(words: readonly string[]): Record<string, string | number | boolean> {
  return Object.fromEntries(
    words.map((word) => {
      const [name = '', value = ''] = word.split('=', 2)
      if (value === 'true' || value === 'false') return [name, value === 'true']
      return [name, value !== '' && Number.isFinite(Number(value)) ? Number(value) : value]
    }),
  )
}
