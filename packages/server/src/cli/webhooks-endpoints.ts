// Endpoints in the terminal: who is told of which events, and how.

import type { CreatedEndpointWire, EndpointWire } from '@ripstop/protocol'
import { SETTING_OPTIONS, SETTINGS_HELP, settingsOf } from './endpoint-settings.ts'
import { readInput } from './input-file.ts'
import { formatAge, formatDuration, formatTime, parseNumber } from './moments.ts'
import { formatTable, type Terminal } from './terminal.ts'
import { verb, WrongUse } from './verbs.ts'

const STATES = ['active', 'paused', 'gone']
const ALGORITHMS = ['v1', 'v1a']

export const endpointPath = (id: string, more = ''): string => `/v1/endpoints/${encodeURIComponent(id)}${more}`

const changeVerbs = [
  verb({
    usage: 'endpoints create URL --type order.*… [--algorithm v1a] [--secret-file FILE|-] [--SETTING …]',
    summary: 'its secret is shown once, here; --secret-file: one that you bring along',
    more: SETTINGS_HELP,
    options: { ...SETTING_OPTIONS, algorithm: { type: 'string' }, 'secret-file': { type: 'string' } },
    run: async ({ terminal, mesh, values, words: [url], show }) => {
      const { algorithm, 'secret-file': file } = values
      if (values.type === undefined)
        throw new WrongUse('which events? Write --type order.paid, --type order.* or --type "*"')
      if (algorithm !== undefined && !ALGORITHMS.includes(algorithm)) throw new WrongUse('--algorithm takes v1 or v1a')
      const secret = file === undefined ? undefined : (await readInput(terminal, file)).trim()
      const wish = { url, ...settingsOf(values), algorithm, secret }
      const endpoint = await mesh.write<CreatedEndpointWire>('POST', '/v1/endpoints', wish)
      show(endpoint, () => `endpoint ${endpoint.endpoint_id}\nsecret   ${endpoint.secret ?? '(shown before)'}`)
      tellOnce(terminal, endpoint.secret, `ripstop webhooks secrets rotate ${endpoint.endpoint_id}`)
      return 0
    },
  }),
  verb({
    usage: 'endpoints update ID [--address URL] [--type order.*]… [--SETTING …]',
    summary: 'changes what is named; "none" takes a filter, a rate or an owner away',
    more: SETTINGS_HELP,
    options: { ...SETTING_OPTIONS, address: { type: 'string' } },
    run: async ({ mesh, values, words: [id = ''], show }) => {
      const { address } = values
      const patch = { ...settingsOf(values), ...(address === undefined ? {} : { url: address }) }
      if (Object.keys(patch).length === 0) throw new WrongUse('nothing to change: name at least one setting')
      const endpoint = await mesh.write<EndpointWire>('PATCH', endpointPath(id), patch)
      show(endpoint, () => formatEndpoint(endpoint))
      return 0
    },
  }),
  verb({
    usage: 'endpoints pause ID [--reason TEXT]',
    summary: 'what is published for it waits',
    options: { reason: { type: 'string' } },
    run: async ({ mesh, values, words: [id = ''], show }) => {
      const body = values.reason === undefined ? {} : { reason: values.reason }
      const endpoint = await mesh.write<EndpointWire>('POST', endpointPath(id, '/pause'), body)
      show(endpoint, () => `endpoint ${id} is ${endpoint.state}: what is meant for it waits`)
      return 0
    },
  }),
  verb({
    usage: 'endpoints resume ID',
    summary: 'sends what waited',
    run: async ({ mesh, words: [id = ''], show }) => {
      const endpoint = await mesh.write<EndpointWire>('POST', endpointPath(id, '/resume'))
      show(endpoint, () => `endpoint ${id} is ${endpoint.state}: what waited is sent`)
      return 0
    },
  }),
  verb({
    usage: 'endpoints delete ID',
    summary: 'for good; what was meant for it becomes dead letters',
    run: async ({ terminal, mesh, words: [id = ''] }) => {
      await mesh.write('DELETE', endpointPath(id))
      terminal.out(`endpoint ${id} is deleted; what was meant for it becomes dead letters\n`)
      return 0
    },
  }),
]

const readVerbs = [
  verb({
    usage: 'endpoints list [--state paused] [--limit 50]',
    summary: `newest first; --state ${STATES.join('|')}`,
    options: { state: { type: 'string' }, limit: { type: 'string', default: '50' } },
    run: async ({ mesh, values: { state, limit }, show }) => {
      if (state !== undefined && !STATES.includes(state))
        throw new WrongUse(`--state takes one of ${STATES.join(', ')}`)
      const found = await mesh.list<EndpointWire>('/v1/endpoints', parseNumber('--limit', limit), { state })
      show(found, () => formatEndpoints(found))
      return 0
    },
  }),
  verb({
    usage: 'endpoints show ID',
    summary: 'its settings and its health',
    run: async ({ mesh, words: [id = ''], show }) => {
      const endpoint = await mesh.read<EndpointWire>(endpointPath(id))
      show(endpoint, () => formatEndpoint(endpoint))
      return 0
    },
  }),
  verb({
    usage: 'endpoints test ID',
    summary: 'sends it one event of its own, whatever it subscribes to',
    run: async ({ mesh, words: [id = ''], show }) => {
      const sent = await mesh.write<{ readonly event_id: string }>('POST', endpointPath(id, '/test'))
      show(
        sent,
        () => `event ${sent.event_id} is on its way: ripstop webhooks deliveries list --event ${sent.event_id}`,
      )
      return 0
    },
  }),
]

export const endpointVerbs = [...changeVerbs, ...readVerbs]

/** A secret is shown once; where the creation was replayed it has been. */
export function tellOnce(terminal: Terminal, secret: string | null, instead: string): void {
  terminal.error(
    secret === null
      ? `The answer that held the secret was lost. Make a new one: ${instead}\n`
      : 'Keep the secret now: it is shown this once.\n',
  )
}

function describeState({ state, health, backlog_full: isFull }: EndpointWire): string {
  if (state !== 'active') return state
  const failing =
    health.failing_since === null ? 'active' : `failing for ${formatAge(health.failing_since).slice(0, -4)}`
  return isFull ? `${failing}, full` : failing
}

function formatEndpoints(found: readonly EndpointWire[]): string {
  if (found.length === 0) return 'none: ripstop webhooks endpoints create URL --type order.*'
  const rows = found.map((endpoint) => [
    endpoint.endpoint_id,
    describeState(endpoint),
    formatAge(endpoint.health.last_success_at) || 'never',
    endpoint.event_types.join(' '),
    endpoint.url,
    endpoint.description,
  ])
  return formatTable([['ENDPOINT', 'STATE', 'LAST SUCCESS', 'TYPES', 'URL', 'DESCRIPTION'], ...rows])
}

function formatEndpoint(endpoint: EndpointWire): string {
  const { health, state_reason: reason, state_actor: actor, filter_errors: filterErrors } = endpoint
  const by = actor === null ? '' : ` by ${actor}`
  const facts: readonly (readonly [string, string | null])[] = [
    ['endpoint', endpoint.endpoint_id],
    ['url', endpoint.url],
    ['description', endpoint.description],
    ['owner', endpoint.owner],
    ['state', `${endpoint.state} since ${formatTime(endpoint.state_at)}${by}${reason === null ? '' : `: ${reason}`}`],
    ['next probe', formatTime(endpoint.next_probe_at)],
    ['last success', formatAge(health.last_success_at) || 'never'],
    ['failing for', formatAge(health.failing_since).replace(/ ago$/, '')],
    ['types', endpoint.event_types.join(' ')],
    ['filter', endpoint.filter],
    ['filter errors', filterErrors.count === 0 ? '' : `${filterErrors.count}, the last: ${filterErrors.last ?? ''}`],
    ['ordering', endpoint.ordering === 'key' ? `by key, ${endpoint.lanes} lanes` : 'none'],
    ['at once', String(endpoint.concurrency)],
    ['rate', endpoint.rate_per_second === null ? '' : `${endpoint.rate_per_second}/s`],
    ['deadline', formatDuration(endpoint.deadline_ms)],
    ['retries after', endpoint.retry_schedule_ms.map(formatDuration).join(', ')],
    ['backlog', `${endpoint.backlog_full ? 'FULL, ' : ''}at most ${endpoint.backlog_max}`],
    ['headers', endpoint.header_names.join(' ')],
  ]
  return formatTable(facts.flatMap(([name, value]) => (value === null || value === '' ? [] : [[name, value]])))
}
