// The engine that delivers. Rows of the table `deliveries` are what is undone; workers own shards of them by leases (shards.ts), read
// them into lanes (intake.ts), send them through their kind and settle what came of it in batches (sender.ts). Each part runs in a loop
// of its own, which outlives anything that the database does.
// Invariants:
//   DL9. A stop takes nothing more, lets what is under way end within its bound, settles it and lets the shards go: then nothing is
//        repeated. What is not over by then, its next owner may repeat.

import { background, type Ctx, type Env, type Link, type Mesh } from '@ripstop/kernel'
import type { PostgresPool } from '@ripstop/kernel/postgres'
import type { Log } from '#platform/telemetry'
import { Intake } from './intake.ts'
import type { DeliveryKind } from './kind.ts'
import type { Item } from './lane.ts'
import { Lanes } from './lanes.ts'
import { type Loop, startLoop } from './loop.ts'
import { createMeters } from './meters.ts'
import { Ownership } from './ownership.ts'
import type { Points } from './points.ts'
import { Sender } from './sender.ts'
import { DELIVERY_DEFAULTS, type DeliverySettings } from './settings.ts'
import { Shards } from './shards.ts'
import { Survey } from './survey.ts'
import { Tending } from './tending.ts'

const TURN_MS = 10_000
const TEND_MS = 1_000
const LEAVE_MS = 2_000
const LOOK_MS = 5

export interface DeliveryDeps {
  readonly env: Env
  readonly log: Log
  readonly mesh: Mesh
  readonly link: Link<PostgresPool>
  readonly kinds: readonly DeliveryKind[]
  /** Of this process and all that came before it in its place: a UUID. */
  readonly workerId: string
  readonly settings?: Partial<DeliverySettings>
  /** For tests. */
  readonly points?: Points
}

/** The parts of the engine, wired. */
function createParts(root: Ctx, deps: DeliveryDeps, settings: DeliverySettings) {
  const { env, log, link, workerId, points } = deps
  const kinds = new Map(deps.kinds.map((kind) => [kind.name as string, kind]))
  const shards = new Shards(settings.leaseMs)
  const lanes = new Lanes(settings, env.random)
  const meters = createMeters(deps.mesh.metrics, () => ({
    underWay: lanes.underWay,
    held: lanes.held.size,
    shards: shards.owned.size,
  }))
  const shared = { env, log, link, kinds, lanes, shards, settings, workerId, meters, points }
  const pump = (): void => sender.pump()
  const alarm = createAlarm(env, lanes, pump)
  const parts = { nudgeIntake: (): void => undefined, lanes, shards, alarm }
  const moved = (): void => {
    alarm.set()
    if (lanes.isHungry) parts.nudgeIntake()
  }
  const lostShard = ({ lane: { shard } }: Item): void => {
    if (shards.owned.get(shard.shard) === shard) ownership.lost(shard)
  }
  const sender = new Sender(root, { ...shared, moved, lostShard })
  const tending = new Tending({ ...shared, pump })
  const survey = new Survey({ ...shared, metrics: deps.mesh.metrics })
  const refilled = points === undefined ? undefined : () => points('refilled')
  const intake = new Intake({ ...shared, pump, learn: (ctx) => tending.learn(ctx, false), refilled })
  const claimed = (): void => {
    intake.sweepSoon()
    parts.nudgeIntake()
  }
  const ownership = new Ownership({ ...shared, claimed, left: (lane) => tending.forget(lane) })
  return Object.assign(parts, { sender, tending, survey, intake, ownership })
}

/** Starts to deliver; disposing of it drains. It needs no database to start, and never stops by itself. */
export function startDelivery(deps: DeliveryDeps): AsyncDisposable {
  const { env, points } = deps
  const settings = { ...DELIVERY_DEFAULTS, ...deps.settings }
  const root = background(env)
  const parts = createParts(root, deps, settings)
  const { lanes, shards, alarm, sender, tending, survey, intake, ownership } = parts
  let isStopping = false
  const start = (name: string, turn: (ctx: Ctx) => Promise<number>): Loop =>
    startLoop(deps, root, name, async () => {
      using ctx = root.within(TURN_MS)
      return await turn(ctx)
    })
  const idle = async (): Promise<number> => LEAVE_MS
  const intakeLoop = start('intake', (ctx) => (isStopping ? idle() : intake.turn(ctx)))
  parts.nudgeIntake = intakeLoop.nudge
  const loops = [
    intakeLoop,
    start('ownership', (ctx) => (isStopping && shards.owned.size === 0 ? idle() : ownership.turn(ctx))),
    start('targets', async (ctx) => {
      await tending.learn(ctx, true)
      return settings.targetsMs
    }),
    start('tending', async (ctx) => {
      sender.giveUpOverdue()
      await tending.turn(ctx)
      return TEND_MS
    }),
    start('survey', async (ctx) => {
      await survey.turn(ctx)
      return settings.surveyMs
    }),
  ]
  const stop = async (): Promise<void> => {
    isStopping = true
    sender.stop()
    alarm.clear()
    await points?.('draining')
    await drained(root, lanes, settings.drainMs)
    using limit = background(env).within(LEAVE_MS)
    await ownership.leave(limit).catch(() => undefined) // the leases run out by themselves
    root.cancel()
    await Promise.all(loops.map(({ done }) => done))
  }
  let stopping: Promise<void> | undefined
  return { [Symbol.asyncDispose]: () => (stopping ??= stop()) }
}

/** One timer for all that lanes wait for. */
function createAlarm(env: Env, lanes: Lanes, pump: () => void) {
  let atMs = Number.POSITIVE_INFINITY
  let cancel: (() => void) | undefined
  const set = (): void => {
    if (lanes.nextWakeMs >= atMs) return
    cancel?.()
    atMs = lanes.nextWakeMs
    cancel = env.clock.schedule(Math.max(LOOK_MS, Math.min(atMs - env.clock.monoMs(), 60_000)), () => {
      atMs = Number.POSITIVE_INFINITY
      lanes.wake(env.clock.monoMs())
      pump()
    })
  }
  return { set, clear: () => cancel?.() }
}

/** Until nothing is under way or unsettled, or for `mostMs`. */
async function drained(root: Ctx, lanes: Lanes, mostMs: number): Promise<void> {
  const { clock } = root.env
  const endMs = clock.monoMs() + mostMs
  while (lanes.underWay > 0 && clock.monoMs() < endMs) {
    await new Promise<void>((resolve) => void clock.schedule(LOOK_MS, resolve))
  }
}
