// Two robots at the clock and somebody who watches: clients as any other, of the same SDK that the page runs. What they were promised is
// written down, to be held against the log at the end.

import { type CommandAnswer, connectSession, type LiveSession } from '@ripstop/sdk/sessions'
import { type Game, SEATS, type Seat } from './arbiter.ts'

const THINK_MS_MIN = 250
const THINK_MS_MAX = 1_200
const LOOK_EVERY_MS = 50

export interface Players extends Disposable {
  /** Every move that was acknowledged. */
  readonly promised: readonly CommandAnswer[]
  /** Moves that ended without an answer, or with a refusal. */
  readonly failed: readonly string[]
  /** How far apart the clocks were at most that the three showed at the same moment, and how far off they said they might be. */
  readonly apartMs: () => { readonly most: number; readonly uncertainty: number }
  /** What each of the three shows now, by participant. */
  readonly shown: () => Readonly<Record<Seat, readonly (number | undefined)[]>>
  readonly isLive: () => boolean
  /** Nobody moves any more; what was asked is answered. */
  readonly rest: () => Promise<void>
}

export function seatPlayers(mesh: string, game: Game): Players {
  const { sessionId } = game
  const sessions = Object.fromEntries(
    SEATS.map((seat) => [seat, connectSession({ url: mesh, sessionId, token: game.tokens[seat] })]),
  ) as Record<Seat, LiveSession>
  const promised: CommandAnswer[] = []
  const failed: string[] = []
  const moves = new Set<Promise<void>>()
  const asked = new Map<string, number>()
  let isResting = false
  let most = 0
  let uncertainty = 0

  const move = (seat: Seat): void => {
    const session = sessions[seat]
    const made = session.command({ kind: 'switch' }).then(
      (answer) => void promised.push(answer),
      (error: Error & { code?: string }) => void failed.push(`${seat}: ${error.code} ${error.message}`),
    )
    moves.add(made)
    void made.finally(() => moves.delete(made))
  }

  const think = (seat: Seat): void => {
    const { session: state, participantId, pending } = sessions[seat].getSnapshot()
    const isMine =
      state?.status === 'running' && state.rules.participants[state.active ?? -1]?.participantId === participantId
    if (!isMine || pending.length > 0 || isResting || asked.get(seat) === state.version) return
    asked.set(seat, state.version) // one thought a turn
    setTimeout(() => !isResting && move(seat), THINK_MS_MIN + Math.random() * (THINK_MS_MAX - THINK_MS_MIN))
  }

  const shown = (): Record<Seat, readonly (number | undefined)[]> => {
    const showOf = (seat: Seat): readonly (number | undefined)[] => {
      const session = sessions[seat]
      const { rules } = session.getSnapshot().session ?? { rules: { participants: [] } }
      return rules.participants.map(({ participantId }) => session.remaining(participantId))
    }
    return { white: showOf('white'), black: showOf('black'), watch: showOf('watch') }
  }

  const look = (): void => {
    const snapshots = SEATS.map((seat) => sessions[seat].getSnapshot())
    const versions = new Set(snapshots.map(({ session }) => session?.version))
    if (versions.size > 1 || snapshots.some(({ status }) => status !== 'live')) return
    const faces = Object.values(shown())
    for (const place of faces[0]?.keys() ?? []) {
      const times = faces.map((face) => face[place] ?? 0)
      most = Math.max(most, Math.max(...times) - Math.min(...times))
    }
    uncertainty = Math.max(...SEATS.map((seat) => sessions[seat].uncertaintyMs()))
  }

  const players: readonly Seat[] = ['white', 'black']
  for (const seat of players) sessions[seat].subscribe(() => think(seat))
  const looking = setInterval(look, LOOK_EVERY_MS)
  return {
    promised,
    failed,
    shown,
    apartMs: () => ({ most, uncertainty }),
    isLive: () => SEATS.every((seat) => sessions[seat].getSnapshot().status === 'live'),
    rest: async () => {
      isResting = true
      await Promise.all(moves)
    },
    [Symbol.dispose]: () => {
      clearInterval(looking)
      for (const session of Object.values(sessions)) session.close()
    },
  }
}
