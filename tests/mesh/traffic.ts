// Traffic on a mesh while it is broken: requests at a steady pace, a record of how each ended, and what must hold of all.

import { type Answer, type AskOptions, ask } from './client.ts'

/** Beyond a deadline: connecting, sending, and a machine that others use too. Hung requests are past it by far. */
const SLACK_MS = 1_500
const STALL_SAMPLE_MS = 20
const RECORDS_MAX = 1_000_000

export interface Flow extends AskOptions {
  readonly path: string
  readonly everyMs: number
  /** Every request has an answer by then. */
  readonly deadlineMs: number
}

export interface Ended extends Pick<Answer, 'status' | 'code' | 'ms'> {
  readonly startedMs: number
  /** As JSON says, in ms. */
  readonly retryAfterMs: number | undefined
}

export interface Late extends Ended {
  readonly flow: string
}

export interface Traffic<Name extends string> extends AsyncDisposable {
  /** How the requests of a flow ended that were begun since `fromMs` (performance.now()). */
  ended(name: Name, fromMs?: number): readonly Ended[]
  /** How often each `status` or `status code` was seen. */
  tally(name: Name, fromMs?: number): Readonly<Record<string, number>>
  /** Requests without an answer at this moment. */
  open(): number
  /** No new ones; resolves when all have ended, and gives those past their deadline, less the stall of our own process. */
  stop(): Promise<readonly Late[]>
}

/** Begins at once. */
export function startTraffic<Name extends string>(base: string, flows: Readonly<Record<Name, Flow>>): Traffic<Name> {
  const names = Object.keys(flows) as Name[]
  const records = new Map<Name, Ended[]>(names.map((name) => [name, []]))
  const running = new Set<Promise<void>>()
  const stalls = startStallMeter()
  const send = async (name: Name): Promise<void> => {
    const startedMs = performance.now()
    const { status, code, ms, json } = await ask(base, flows[name].path, flows[name])
    const retryAfterMs = (json as { readonly error?: { readonly retry_after_ms?: number } } | undefined)?.error
      ?.retry_after_ms
    const list = records.get(name) ?? []
    if (list.length < RECORDS_MAX) list.push({ status, code, ms, startedMs, retryAfterMs })
  }
  const timers = names.map((name) =>
    setInterval(() => {
      const one = send(name).finally(() => running.delete(one))
      running.add(one)
    }, flows[name].everyMs),
  )
  const ended = (name: Name, fromMs = 0): readonly Ended[] =>
    (records.get(name) ?? []).filter(({ startedMs }) => startedMs >= fromMs)
  let stopping: Promise<readonly Late[]> | undefined
  const end = async (): Promise<readonly Late[]> => {
    for (const timer of timers) clearInterval(timer)
    await Promise.all(running)
    stalls.stop()
    return names.flatMap((flow) =>
      ended(flow)
        .filter(({ ms, startedMs }) => ms - stalls.worstSince(startedMs) > flows[flow].deadlineMs + SLACK_MS)
        .map((late) => ({ flow, ...late })),
    )
  }
  const stop = (): Promise<readonly Late[]> => {
    stopping ??= end()
    return stopping
  }
  return {
    ended,
    tally: (name, fromMs) => tallyOf(ended(name, fromMs)),
    open: () => running.size,
    stop,
    [Symbol.asyncDispose]: async () => void (await stop()),
  }
}

export function tallyOf(answers: readonly Pick<Answer, 'status' | 'code'>[]): Readonly<Record<string, number>> {
  const tally: Record<string, number> = {}
  for (const { status, code } of answers) {
    const key = code === undefined ? String(status) : `${status} ${code}`
    tally[key] = (tally[key] ?? 0) + 1
  }
  return tally
}

/** The value below which `share` of the times lie; 0 of none. */
export function percentile(times: readonly number[], share: number): number {
  const sorted = [...times].sort((one, other) => one - other)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0
}

/** How late a timer of our own fired: what the machine took from us must not be blamed on the mesh. */
function startStallMeter(): { worstSince(fromMs: number): number; stop(): void } {
  const late: { readonly atMs: number; readonly ms: number }[] = []
  let dueMs = performance.now() + STALL_SAMPLE_MS
  const timer = setInterval(() => {
    const nowMs = performance.now()
    if (nowMs - dueMs > STALL_SAMPLE_MS && late.length < RECORDS_MAX) late.push({ atMs: nowMs, ms: nowMs - dueMs })
    dueMs = nowMs + STALL_SAMPLE_MS
  }, STALL_SAMPLE_MS)
  return {
    worstSince: (fromMs) => late.reduce((worst, { atMs, ms }) => (atMs >= fromMs ? Math.max(worst, ms) : worst), 0),
    stop: () => clearInterval(timer),
  }
}
