// Traffic over a link while it is broken, and a record of every call: none may hang (L5).

import type { Ctx, Link } from '@ripstop/kernel'
import { hasCode } from '@ripstop/kernel'

const STALL_SAMPLE_MS = 5

export interface LoadRecord {
  calls: number
  failed: number
  /** Calls that have not settled yet. */
  open: number
  /** How far the worst call was past its deadline, less the stall of our own event loop meanwhile. */
  overdueMs: number
  /** When the last call succeeded, monotonic. */
  lastSuccessMs: number
  /** Failures by code. */
  readonly codes: Map<string, number>
}

export interface Load extends AsyncDisposable {
  readonly record: LoadRecord
  /** No more new calls; resolves when all have settled. */
  stop(): Promise<void>
}

/** Calls `run` on the link every `everyMs`. */
export function startLoad<R>(
  link: Link<R>,
  ctx: Ctx,
  run: (resource: R, ctx: Ctx) => PromiseLike<unknown>,
  everyMs: number,
): Load {
  const record: LoadRecord = { calls: 0, failed: 0, open: 0, overdueMs: 0, lastSuccessMs: 0, codes: new Map() }
  const stalls = startStallMeter()
  const running = new Set<Promise<void>>()
  const call = async (): Promise<void> => {
    const startedMs = performance.now()
    record.calls++
    record.open++
    try {
      await link.call(ctx, run)
      record.lastSuccessMs = performance.now()
    } catch (error) {
      record.failed++
      const code = hasCode(error, 'INTERNAL') ? 'INTERNAL' : String((error as { code?: unknown }).code)
      record.codes.set(code, (record.codes.get(code) ?? 0) + 1)
    }
    record.open--
    const lateMs = performance.now() - startedMs - link.guarantees.deadlineMs
    record.overdueMs = Math.max(record.overdueMs, lateMs - stalls.worstSince(startedMs))
  }
  const timer = setInterval(() => {
    const one = call().finally(() => running.delete(one))
    running.add(one)
  }, everyMs)
  const stop = async (): Promise<void> => {
    clearInterval(timer)
    await Promise.all(running)
    stalls.stop()
  }
  return { record, stop, [Symbol.asyncDispose]: stop }
}

/** How late a timer of our own fired: what the machine took from us must not be blamed on the link. */
function startStallMeter(): { worstSince(fromMs: number): number; stop(): void } {
  const late: { readonly atMs: number; readonly ms: number }[] = []
  let dueMs = performance.now() + STALL_SAMPLE_MS
  const timer = setInterval(() => {
    const nowMs = performance.now()
    late.push({ atMs: nowMs, ms: nowMs - dueMs })
    if (late.length > 10_000) late.splice(0, 5_000)
    dueMs = nowMs + STALL_SAMPLE_MS
  }, STALL_SAMPLE_MS)
  return {
    worstSince: (fromMs) => {
      const running = performance.now() - dueMs // the timer may be late right now
      return late.reduce((worst, { atMs, ms }) => (atMs >= fromMs ? Math.max(worst, ms) : worst), Math.max(0, running))
    },
    stop: () => clearInterval(timer),
  }
}
