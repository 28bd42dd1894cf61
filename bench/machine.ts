// What the machine itself does to a measurement: CPU that others took while it ran, and how long its disk takes to make a
// write durable. Reported beside every figure that depends on them.

import { closeSync, fdatasyncSync, openSync, readdirSync, readFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { percentile } from './statistics.ts'

const TICK_MS = 10 // USER_HZ is 100 on Linux
const SYNCS = 200

/** CPU time of a process and all its descendants so far, those that have ended and were waited for included, ms. */
export function treeCpuMs(root: number): number {
  const children = new Map<number, number[]>()
  const spent = new Map<number, number>()
  for (const name of readdirSync('/proc')) {
    const pid = Number(name)
    if (!Number.isInteger(pid)) continue
    const fields = statOf(pid)
    if (fields === undefined) continue
    const parent = Number(fields[1])
    children.set(parent, [...(children.get(parent) ?? []), pid])
    // utime, stime, cutime, cstime
    spent.set(pid, (Number(fields[11]) + Number(fields[12]) + Number(fields[13]) + Number(fields[14])) * TICK_MS)
  }
  const sum = (pid: number): number =>
    (children.get(pid) ?? []).reduce((total, child) => total + sum(child), spent.get(pid) ?? 0)
  return sum(root)
}

function statOf(pid: number): readonly string[] | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return text.slice(text.lastIndexOf(')') + 2).split(' ')
  } catch {
    return undefined // it ended while we looked
  }
}

export interface Foreign {
  /** Share of the machine's CPU time that others used since the start, percent. */
  stop(): number
}

/** Measures what this process, its descendants and `others` do not use themselves. */
export function measureForeign(others: readonly number[] = []): Foreign {
  const ours = (): number => [process.pid, ...others].reduce((total, pid) => total + treeCpuMs(pid), 0)
  const before = { ...machineMs(), ours: ours() }
  return {
    stop: () => {
      const after = { ...machineMs(), ours: ours() }
      const foreignMs = after.busy - before.busy - (after.ours - before.ours)
      return Math.max(0, (foreignMs / Math.max(1, after.total - before.total)) * 100)
    },
  }
}

/** Since the machine started, over all cores. */
function machineMs(): { readonly busy: number; readonly total: number } {
  const line = readFileSync('/proc/stat', 'utf8').split('\n')[0] ?? ''
  const ticks = line.trim().split(/\s+/).slice(1, 9).map(Number)
  const [user = 0, nice = 0, system = 0, idle = 0, wait = 0, hard = 0, soft = 0, stolen = 0] = ticks
  const busy = user + nice + system + hard + soft + stolen
  return { busy: busy * TICK_MS, total: (busy + idle + wait) * TICK_MS }
}

/** p50 of making 8 KB durable in `folder`, ms. */
export function fdatasyncP50Ms(folder: string): number {
  const file = openSync(join(folder, 'fdatasync.probe'), 'w')
  const page = Buffer.alloc(8_192, 1)
  const times: number[] = []
  for (let round = 0; round < SYNCS; round++) {
    writeSync(file, page, 0, page.length, (round % 16) * page.length)
    const startedMs = performance.now()
    fdatasyncSync(file)
    times.push(performance.now() - startedMs)
  }
  closeSync(file)
  return percentile(times, 50)
}
