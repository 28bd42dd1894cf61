// `ripstop webhooks replay`: the mesh does it, durably; this command starts it and looks on. To stop looking stops nothing.

import { systemClock } from '@ripstop/kernel'
import type { ReplayWire } from '@ripstop/protocol'
import { formatDuration, formatTime, parseMoment, parseNumber } from './moments.ts'
import { createProgress } from './progress.ts'
import { formatTable } from './terminal.ts'
import { type Asked, verb } from './verbs.ts'

const LOOK_EVERY_MS = 500

export const replayVerbs = [
  verb({
    usage: 'replay ENDPOINT --since 2h [--until 1h] [--type order.*]… [--failed] [--no-wait]',
    summary: 'sends what happened since then again to one endpoint; --failed: only what never arrived',
    options: {
      since: { type: 'string' },
      until: { type: 'string' },
      type: { type: 'string', multiple: true },
      failed: { type: 'boolean' },
      'no-wait': { type: 'boolean' },
    },
    run: async (asked) => {
      const { values, words } = asked
      const replay = await asked.mesh.write<ReplayWire>('POST', '/v1/replays', {
        endpoint_id: words[0],
        since: parseMoment('--since', values.since ?? ''),
        until: values.until === undefined ? undefined : parseMoment('--until', values.until),
        types: values.type,
        only: values.failed === true ? 'failed' : 'all',
      })
      return watchReplay(asked, replay, values['no-wait'] !== true)
    },
  }),
  verb({
    usage: 'replays list [--limit 20]',
    summary: 'replays and redrives, newest first',
    options: { limit: { type: 'string', default: '20' } },
    run: async ({ mesh, values, show }) => {
      const found = await mesh.list<ReplayWire>('/v1/replays', parseNumber('--limit', values.limit))
      show(found, () => formatReplays(found))
      return 0
    },
  }),
  verb({
    usage: 'replays show ID [--no-wait]',
    summary: 'looks on until it is done',
    options: { 'no-wait': { type: 'boolean' } },
    run: async (asked) => {
      const replay = await asked.mesh.read<ReplayWire>(pathOf(asked.words[0] ?? ''))
      return watchReplay(asked, replay, asked.values['no-wait'] !== true)
    },
  }),
  verb({
    usage: 'replays cancel ID',
    summary: 'what is made already is sent, nothing more',
    run: async ({ mesh, words: [id = ''], show }) => {
      const replay = await mesh.write<ReplayWire>('POST', `${pathOf(id)}/cancel`)
      show(replay, () => `replay ${id} is cancelled`)
      return 0
    },
  }),
]

/** 1: it is not done, because somebody stopped looking, or cancelled it. */
export async function watchReplay(
  { terminal, mesh, show }: Pick<Asked<unknown>, 'terminal' | 'mesh' | 'show'>,
  started: ReplayWire,
  isWatched: boolean,
): Promise<number> {
  const id = started.replay_id
  let replay = started
  if (isWatched && replay.state === 'running') {
    const progress = createProgress(terminal)
    const stopped = terminal.stopped()
    for (;;) {
      progress.say(describeReplay(replay))
      if (replay.state !== 'running') break
      if (await Promise.race([stopped.then(() => true), pause(LOOK_EVERY_MS)])) {
        progress.end()
        terminal.error(`The mesh goes on with it. To look again: ripstop webhooks replays show ${id}\n`)
        return 1
      }
      replay = await mesh.read<ReplayWire>(pathOf(id))
    }
    progress.end()
  }
  show(replay, () => (isWatched ? describeEnd(replay) : `replay ${id} is ${replay.state}`))
  return isWatched && replay.state === 'cancelled' ? 1 : 0
}

function pathOf(id: string): string {
  return `/v1/replays/${encodeURIComponent(id)}`
}

function pause(ms: number): Promise<false> {
  return new Promise((resolve) => systemClock.schedule(ms, () => resolve(false)))
}

function describeReplay({ replay_id: id, done, state, cursor_at: at }: ReplayWire): string {
  const where = at === null ? '' : `, has come to ${formatTime(at)}`
  return `replay ${id}: ${state}, ${done} made${where}`
}

function describeEnd({ replay_id: id, done, state, created_at: from, updated_at: to }: ReplayWire): string {
  const took = formatDuration(Date.parse(to) - Date.parse(from))
  return `replay ${id} is ${state}: ${done} ${done === 1 ? 'delivery' : 'deliveries'} to be sent, made in ${took}`
}

function formatReplays(found: readonly ReplayWire[]): string {
  if (found.length === 0) return 'none'
  const rows = found.map((replay) => [
    replay.replay_id,
    replay.state,
    String(replay.done),
    replay.what.replace('_', ' '),
    replay.endpoint_id ?? 'all endpoints',
    formatTime(replay.created_at),
    JSON.stringify(replay.selector),
  ])
  return formatTable([['REPLAY', 'STATE', 'MADE', 'OF', 'ENDPOINT', 'BEGUN', 'SELECTED'], ...rows])
}
