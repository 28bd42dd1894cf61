// Refill: reads on for lanes that run low, from where each was read to. What is said of a lane while a read is under way (something is
// due again, it was emptied) is about rows that the read may not show: it is noted before the read and compared after.

import type { Ctx, Env, Link } from '@ripstop/kernel'
import type { PostgresPool } from '@ripstop/kernel/postgres'
import { KEY_ROWS, type KeyLine, type Lane } from './lane.ts'
import type { Lanes } from './lanes.ts'
import { type DeliveryRow, type DueQuestion, type KeyQuestion, readDue, readKeys, scanKeys } from './store.ts'

const KEYS_PER_READ = 512
/** While another owner's send of the same key may still be under way here, or is being settled. */
const KEY_AGAIN_MS = 100

export interface RefillDeps {
  readonly env: Env
  readonly link: Link<PostgresPool>
  readonly lanes: Lanes
  readonly bytesMax: number
}

/** A row that was read and goes into its lane when its message is loaded. */
export interface Taken {
  readonly row: DeliveryRow
  readonly lane: Lane
  readonly line: KeyLine | undefined
}

interface DueOf extends DueQuestion {
  readonly of: Lane
  found: number
}

interface KeyOf extends KeyQuestion {
  readonly of: Lane
  /** What was in memory of the key when it was asked for. */
  readonly line: KeyLine | undefined
  readonly rows: DeliveryRow[]
}

/** Due rows without a key. */
export async function refillDue(
  { link, lanes, env, bytesMax }: RefillDeps,
  ctx: Ctx,
  chosen: readonly Lane[],
): Promise<Taken[]> {
  const questions = askDue(lanes, chosen)
  if (questions.length === 0) return []
  lanes.readBegan()
  const rows = await readDue(link, ctx, questions).catch((error: unknown) => {
    for (const { of } of questions) of.hasMore = true
    throw error
  })
  const nowMs = env.clock.monoMs()
  const taken: Taken[] = []
  let bytes = lanes.bytes
  for (const row of rows) {
    const question = questions[row.place - 1] as DueOf
    const lane = question.of
    if (row.delivery_id === null) {
      lanes.await(lane, row.due_in_ms, row.due_us, nowMs)
      continue
    }
    question.found++
    const isFull = bytes > bytesMax
    // Stepped back meanwhile, or beyond the bound: it is read again.
    if (lane.hasMore || isFull) lane.stepBackTo(row.due_us, row.delivery_id)
    else lane.stepTo(row)
    if (isFull || !lanes.isNew(row.delivery_id)) continue
    bytes += row.bytes
    taken.push({ row, lane, line: undefined })
  }
  for (const { of, found, most } of questions) if (found === most) of.hasMore = true
  lanes.readEnded()
  return taken
}

function askDue(lanes: Lanes, chosen: readonly Lane[]): DueOf[] {
  let { room } = lanes
  const questions: DueOf[] = []
  for (const lane of chosen) {
    const most = Math.min(room, lanes.laneRowsMax - lane.size)
    if (!lane.hasMore || most <= 0) continue
    room -= most
    lane.hasMore = false
    const { targetId, number, afterUs, afterId, shard } = lane
    questions.push({ of: lane, targetId, lane: number, afterUs, afterId, most, repeats: shard.repeats, found: 0 })
  }
  return questions
}

/** Finds keys of lanes whose keys are to be looked at. */
export async function scanLanes({ link, lanes, env }: RefillDeps, ctx: Ctx, chosen: readonly Lane[]): Promise<void> {
  const questions = []
  for (const lane of chosen) {
    const most = Math.min(KEYS_PER_READ, lanes.laneRowsMax - lane.size - lane.freshKeys.size)
    if (lane.scanAfter === undefined || most <= 0) continue
    const { targetId, number } = lane
    questions.push({ of: lane, targetId, lane: number, afterKey: lane.scanAfter, most, found: 0, last: -1 })
  }
  if (questions.length === 0) return
  const rows = await scanKeys(link, ctx, questions)
  const nowMs = env.clock.monoMs()
  for (const { place, key_hash, due_in_ms } of rows) {
    const question = questions[place - 1] as (typeof questions)[number]
    question.found++
    question.last = Math.max(question.last, key_hash)
    if (due_in_ms > 0) lanes.await(question.of, due_in_ms, undefined, nowMs)
    else if (!question.of.lines.has(key_hash)) question.of.freshKeys.add(key_hash)
  }
  for (const { of, found, most, last } of questions) {
    if (of.scanAfter !== undefined) of.scanned(found === most ? last : undefined)
  }
}

/** The oldest rows of keys that have something new. */
export async function refillKeys(deps: RefillDeps, ctx: Ctx, chosen: readonly Lane[]): Promise<Taken[]> {
  const { link, lanes } = deps
  const questions = askKeys(lanes, chosen)
  if (questions.length === 0) return []
  lanes.readBegan()
  const rows = await readKeys(link, ctx, questions, KEY_ROWS).catch((error: unknown) => {
    for (const { of, key } of questions) of.freshKeys.add(key)
    throw error
  })
  for (const row of rows) questions[row.place - 1]?.rows.push(row)
  const taken = questions.flatMap((question) => takeKey(deps, question))
  lanes.readEnded()
  return taken
}

function askKeys(lanes: Lanes, chosen: readonly Lane[]): KeyOf[] {
  const questions: KeyOf[] = []
  for (const lane of chosen) {
    let most = Math.min(lanes.room, lanes.laneRowsMax - lane.size)
    for (const key of lane.freshKeys) {
      if (most-- <= 0 || questions.length >= KEYS_PER_READ) break
      lane.freshKeys.delete(key)
      const line = lane.lines.get(key)
      const { targetId, number, shard } = lane
      const afterId = line?.lastId ?? 0
      questions.push({ of: lane, line, targetId, lane: number, key, afterId, repeats: shard.repeats, rows: [] })
    }
  }
  return questions
}

function takeKey({ lanes, env }: RefillDeps, { of: lane, line: asked, key, rows }: KeyOf): Taken[] {
  const later = (ms: number): Taken[] => {
    lanes.await(lane, ms, undefined, env.clock.monoMs())
    return []
  }
  // Another line now: what was read continues nothing.
  if (lane.lines.get(key) !== asked) return later(KEY_AGAIN_MS)
  if (asked === undefined && rows.some(({ delivery_id }) => !lanes.isNew(delivery_id))) return later(KEY_AGAIN_MS)
  const waiting = rows.findIndex(({ due_in_ms }) => due_in_ms > 0)
  const due = waiting < 0 ? rows : rows.slice(0, waiting)
  const last = due.at(-1)
  if (last === undefined) {
    if (asked !== undefined) lane.exhausted(asked)
    return waiting < 0 ? [] : later((rows[waiting] as DeliveryRow).due_in_ms)
  }
  const line = asked ?? lanes.openLine(lane, key)
  line.lastId = last.delivery_id
  line.hasMore = waiting < 0 && rows.length === KEY_ROWS
  if (waiting >= 0) line.isStale = true
  return due.map((row) => ({ row, lane, line }))
}
