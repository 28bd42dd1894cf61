// The verdict. What the players were promised is held against what the mesh has: its log, its proof of the log, and what every clock shows.

import type { Game } from './arbiter.ts'
import type { Players } from './players.ts'

interface Step {
  readonly epoch: number
  readonly version: number
  readonly kind: string
  readonly at: string
}

interface Replay {
  readonly steps: readonly Step[]
  readonly next_cursor: string | null
  readonly shares: readonly { readonly wall_ms: number; readonly outage_ms: number; readonly turns: number }[]
}

const PAGE = 200

export async function judge(
  mesh: string,
  game: Game,
  players: Players,
): Promise<{ readonly text: string; readonly isGood: boolean }> {
  const read = async <T>(what: string): Promise<T> => {
    const headers = { authorization: `Bearer ${game.tokens.watch}` }
    const response = await fetch(`${mesh}/v1/sessions/${game.sessionId}${what}`, { headers })
    if (!response.ok) throw new Error(`${what}: ${await response.text()}`)
    return ((await response.json()) as { data: T }).data
  }
  const session = await read<{ participants: readonly { readonly time_remaining_ms: number }[] }>('')
  const steps: Step[] = []
  let replay: Replay
  do {
    replay = await read<Replay>(`/replay?limit=${PAGE}&cursor=${steps.at(-1)?.version ?? 0}`)
    steps.push(...replay.steps)
  } while (replay.next_cursor !== null)
  const { is_valid: isWhole } = await read<{ is_valid: boolean }>('/verify')

  const moves = new Set(
    steps.filter(({ kind }) => kind === 'switched').map(({ epoch, version }) => `${epoch}.${version}`),
  )
  const lost = players.promised.filter(({ epoch, version }) => !moves.has(`${epoch}.${version}`))
  const durable = players.promised.filter(({ level }) => level === 'durable').length
  const outages = steps.filter(({ kind }) => kind === 'recovered').length
  const served = session.participants.map((participant) => participant.time_remaining_ms)
  const wrong = Object.entries(players.shown()).filter(([, times]) => String(times) !== String(served))
  const { most, uncertainty } = players.apart
  const [first] = replay.shares
  const text = `
  played              ${seconds(first?.wall_ms)}, of which nobody could be served for ${seconds(first?.outage_ms)} in ${outages} ${outages === 1 ? 'outage' : 'outages'}: charged to no clock
  moves acknowledged  ${players.promised.length}: ${durable} in Postgres, ${players.promised.length - durable} in Redis at first
  lost                ${lost.length}
  failed              ${players.failed.length}${players.failed.map((why) => `\n                      ${why}`).join('')}
  the log             ${isWhole ? 'whole' : 'NOT whole'}: ${steps.length} entries, every hash right, replaying them gives the session
  at the end          ${wrong.length === 0 ? `all three clients and the server show the same: ${served.map(seconds).join(' and ')}` : `${wrong.map(([seat]) => seat).join(', ')} shows another time than the server`}
  while playing       clocks were at most ${most.toFixed(1)} ms apart, where a client said that it may be off by ${uncertainty.toFixed(1)} ms
`
  return { text, isGood: isWhole && lost.length + players.failed.length + wrong.length === 0 && moves.size > 0 }
}

function seconds(ms = 0): string {
  return `${(ms / 1_000).toFixed(1)} s`
}
