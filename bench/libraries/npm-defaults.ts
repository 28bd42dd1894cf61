// What the libraries of npm do when nobody says: how long a call waits for a connection or an answer, how often it is tried again, what becomes of a 500, how
// large a pool is. `node bench/libraries/npm-defaults.ts [SECONDS] [LIBRARY …]` prints a line of JSON for each thing measured. All wait at the same time, SECONDS
// long (20); what is still pending then is `pending`. What is longer is read from the library's own objects (`read`). One that is not installed is `missing`.

import { existsSync, readFileSync } from 'node:fs'
import { get, type RequestOptions } from 'node:http'
import { dirname, join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { measureEmitters } from './emitters.ts'
import { full, refusing, silent } from './far-ends.ts'
import { came, type Load, type Probe, Read, SOON_MS } from './probe.ts'
import { PROBES_OF_SERVICES } from './probes-services.ts'
import { PROBES_OF_STORES } from './probes-stores.ts'

const BETWEEN_MS = 40
const [seconds = '20', ...asked] = process.argv.slice(2)

const viaNode = (url: string, options: RequestOptions): Promise<unknown> =>
  new Promise((resolve, reject) => {
    get(url, options, (response) => resolve(response.resume())).on('error', reject)
  })

/** Libraries that are one function of a URL and options. */
function calls(
  library: string,
  module: string,
  ask: (loaded: Load, url: string, options?: object) => unknown,
  option: object,
): readonly Probe[] {
  const probe = (what: string, run: Probe['run']): Probe => ({ library, package: module, what, run })
  return [
    probe('connect', async (load) => ask(load, `http://127.0.0.1:${await full()}/`)),
    probe('answer', async (load) => ask(load, (await silent()).url)),
    probe('refusal', async (load) => ask(load, (await refusing(500)).url)),
    probe('option', async (load) => ask(load, (await silent()).url, option)),
    probe('retries', async (load) => came(await refusing(500), (url) => ask(load, url))),
  ]
}

const timeout = { timeout: SOON_MS }
const signal = { signal: AbortSignal.timeout(8_000) }

const HTTP: readonly Probe[] = [
  ...calls('fetch', 'node', (_, url, options) => fetch(url, options), signal),
  ...calls('undici', 'undici', ({ request }, url, options) => request(url, options), { headersTimeout: SOON_MS }),
  ...calls('node', 'node', (_, url, options) => viaNode(url, options ?? {}), signal),
  ...calls('axios', 'axios', (axios, url, options) => axios.default.get(url, options), timeout),
  ...calls('got', 'got', ({ default: got }, url, options) => got(url, options), { timeout: { request: SOON_MS } }),
  ...calls('node-fetch', 'node-fetch', ({ default: ask }, url, options) => ask(url, options), signal),
  ...calls('node-fetch', 'cross-fetch', ({ default: ask }, url, options) => ask(url, options), timeout),
  ...calls('ky', 'ky', ({ default: ky }, url, options) => ky.get(url, options), { ...timeout, retry: 0 }),
  ...calls(
    'superagent',
    'superagent',
    ({ default: ask }, url, options) => (options === undefined ? ask.get(url) : ask.get(url).timeout(SOON_MS)),
    timeout,
  ),
  ...calls('needle', 'needle', ({ default: needle }, url, options) => needle('get', url, options), {
    response_timeout: SOON_MS,
  }),
  ...calls('ofetch', 'ofetch', ({ ofetch }, url, options) => ofetch(url, options), timeout),
  ...calls(
    'graphql-request',
    'graphql-request',
    ({ request }, url, options) => request({ url, document: '{ a }', ...options }),
    signal,
  ),
  // These say that they are late, or that one argument is none that they know, and go on waiting.
  { library: 'node', package: 'node', what: 'late', run: async () => viaNode((await silent()).url, timeout) },
  {
    library: 'node',
    package: 'node',
    what: 'late_set',
    run: async () => {
      const { url } = await silent()
      return new Promise((resolve, reject) => {
        get(url, resolve).on('error', reject).setTimeout(SOON_MS)
      })
    },
  },
  {
    library: 'node-fetch',
    package: 'node-fetch',
    what: 'late',
    run: async ({ default: ask }) => ask((await silent()).url, timeout),
  },
  { library: 'fetch', package: 'node', what: 'late', run: async () => fetch((await silent()).url, timeout as object) },
  {
    library: 'needle',
    package: 'needle',
    what: 'late',
    run: async ({ default: needle }) => needle('get', (await silent()).url, { open_timeout: SOON_MS }),
  },
]

const PROBES = [...HTTP, ...PROBES_OF_SERVICES, ...PROBES_OF_STORES].filter(
  ({ library }) => asked.length === 0 || asked.includes(library),
)

/** Of what is installed; packages hide their manifests from `require`. */
function versionOf(name: string): string {
  if (name === 'node') return process.versions.node
  for (let folder = import.meta.dirname; ; folder = dirname(folder)) {
    const file = join(folder, 'node_modules', name, 'package.json')
    if (existsSync(file)) return (JSON.parse(readFileSync(file, 'utf8')) as { readonly version: string }).version
    if (folder === dirname(folder)) return ''
  }
}

interface Kept {
  outcome: string
  ms?: number
  value?: unknown
  error?: string
}

async function load({ package: name }: Probe, kept: Kept): Promise<Load> {
  if (name === 'node') return {}
  try {
    return (await import(name)) as Load
  } catch (error) {
    Object.assign(kept, { outcome: 'missing', error: String(error).slice(0, 90) })
    return {}
  }
}

async function measure({ run }: Probe, loaded: Load, kept: Kept): Promise<void> {
  const began = performance.now()
  try {
    const said = await run(loaded)
    Object.assign(kept, said instanceof Read ? { outcome: 'read', value: said.value } : { outcome: 'answered' })
  } catch (error) {
    Object.assign(kept, { outcome: 'threw', error: String(error).slice(0, 90) })
  }
  kept.ms = Math.round(performance.now() - began)
}

// What libraries print is not for whoever reads the rows.
for (const level of ['log', 'info', 'warn', 'error', 'debug'] as const) console[level] = () => {}
// What a library throws where nobody can catch it must not end the others.
process.on('uncaughtException', () => {}).on('unhandledRejection', () => {})
const rows = PROBES.map((probe) => ({ probe, kept: { outcome: 'pending' } as Kept }))
// Loading takes seconds and would be measured with what begins beside it.
const loaded = await Promise.all(rows.map(({ probe, kept }) => load(probe, kept)))
for (const [index, { probe, kept }] of rows.entries()) {
  if (kept.outcome !== 'missing') measure(probe, loaded[index] ?? {}, kept)
  // What begins all at once delays each other's timers by seconds.
  await setTimeout(BETWEEN_MS)
}
await setTimeout(Number(seconds) * 1000)
for (const { probe, kept } of rows) {
  const { library, package: name, what } = probe
  const row = { language: 'javascript', library, package: name, version: versionOf(name), what, ...kept }
  process.stdout.write(`${JSON.stringify(row)}\n`)
}
for (const row of await measureEmitters(asked))
  process.stdout.write(`${JSON.stringify({ ...row, version: versionOf(row.package) })}\n`)
process.exit(0)
