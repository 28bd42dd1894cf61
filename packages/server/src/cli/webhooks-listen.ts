// `ripstop webhooks listen`: deliveries as they happen, a line each, until somebody has seen enough.

import type { DeliveryAttemptWire } from '@ripstop/protocol'
import type { MeshClient } from './mesh-request.ts'
import { formatDuration } from './moments.ts'
import { followEvents, type HeardEvent } from './server-events.ts'
import { toPlain } from './terminal.ts'
import { type Asked, verb } from './verbs.ts'
import { describeAnswer } from './webhooks-deliveries.ts'

/** Attempts whose ids are remembered: the stream begins a few seconds back after a break. */
const SEEN_MAX = 10_000
/** Lines that wait for the names of what they tell of; beyond it they are told by id. */
const WAITING_MAX = 100
const NAMES_MAX = 5_000

export const listenVerbs = [
  verb({
    usage: 'listen [--endpoint ID] [--failures]',
    summary: 'live deliveries, a line each, until Ctrl-C; comes back by itself when the mesh was away',
    options: { endpoint: { type: 'string' }, failures: { type: 'boolean' } },
    run: async (asked) => {
      const { endpoint, failures } = asked.values
      return listen(asked, endpoint, (attempt) => failures !== true || attempt.outcome !== 'delivered')
    },
  }),
]

type Names = (id: string) => Promise<string>

async function listen(
  { terminal, mesh, isJson }: Asked<unknown>,
  endpoint: string | undefined,
  isWanted: (attempt: DeliveryAttemptWire) => boolean,
): Promise<number> {
  const ending = new AbortController()
  void terminal.stopped().then(() => ending.abort())
  const print = createPrinter(terminal.out, mesh, isJson)
  const seen = new Set<string>()
  await followEvents({
    mesh,
    path: `/v1/deliveries/stream${endpoint === undefined ? '' : `?endpoint_id=${encodeURIComponent(endpoint)}`}`,
    signal: ending.signal,
    opened: () => terminal.error('listening; Ctrl-C ends it\n'),
    lost: (why, pauseMs) => terminal.error(`${toPlain(why)}; trying again in ${formatDuration(pauseMs)}\n`),
    hear: (event) => {
      if (event.event === 'attempt') {
        const attempt = event.data as DeliveryAttemptWire
        const id = attempt.attempt_id ?? attempt.delivery_id
        if (!seen.has(id) && isWanted(attempt)) print(attempt)
        remember(seen, id)
      } else tellOther(terminal.error, event)
    },
  })
  return 0
}

function tellOther(say: (text: string) => void, { event, data }: HeardEvent): void {
  const { code = '' } = data as { readonly code?: string }
  if (event === 'interrupted')
    say(`the mesh can't look at the moment (${code}); what happens meanwhile is told later\n`)
  if (event === 'bye') say(`more happens than was read here (${code}): some lines are left out\n`)
}

/** Prints in the order of asking, though names may have to be asked for. */
function createPrinter(out: (text: string) => void, mesh: MeshClient, isJson: boolean) {
  const endpointOf = cached(async (id) => {
    const { description, url } = await mesh.read<{ readonly description: string; readonly url: string }>(
      `/v1/endpoints/${id}`,
    )
    return description === '' ? url : description
  })
  const typeOf = cached(async (id) => (await mesh.read<{ readonly type: string }>(`/v1/events/${id}`)).type)
  let waiting = 0
  let last: Promise<void> = Promise.resolve()
  return (attempt: DeliveryAttemptWire): void => {
    if (isJson) return out(`${JSON.stringify(attempt)}\n`)
    const isLate = waiting >= WAITING_MAX
    const byId: Names = async (id) => id
    const names = Promise.all([
      (isLate ? byId : endpointOf)(attempt.endpoint_id),
      (isLate ? byId : typeOf)(attempt.event_id),
    ])
    waiting++
    last = Promise.all([names, last]).then(([[endpoint, type]]) => {
      waiting--
      out(`${formatLine(attempt, endpoint, type)}\n`)
    })
  }
}

function formatLine(attempt: DeliveryAttemptWire, endpoint: string, type: string): string {
  const took = attempt.duration_ms === null ? '' : `${attempt.duration_ms} ms`
  const cells = [
    (attempt.at ?? '').slice(11, 23),
    fit(endpoint, 28),
    fit(type, 24),
    `#${attempt.attempt}`.padEnd(3),
    attempt.outcome.padEnd(9),
    took.padStart(8),
    describeAnswer(attempt),
  ]
  return cells.join('  ').trimEnd()
}

function fit(text: string, width: number): string {
  const plain = toPlain(text)
  return plain.length > width ? `${plain.slice(0, width - 1)}…` : plain.padEnd(width)
}

/** Asks once for each id; an id stands for itself where nothing is found, or may not be read. */
function cached(find: Names): Names {
  const found = new Map<string, Promise<string>>()
  return (id) => {
    const known = found.get(id)
    if (known !== undefined) return known
    const name = find(id).catch(() => id)
    found.set(id, name)
    const [oldest] = found.keys()
    if (found.size > NAMES_MAX && oldest !== undefined) found.delete(oldest)
    return name
  }
}

function remember(seen: Set<string>, id: string): void {
  seen.add(id)
  const [oldest] = seen
  if (seen.size > SEEN_MAX && oldest !== undefined) seen.delete(oldest)
}
