// Process trees. Servers such as Postgres are many processes: stopping the first alone stops nothing that is under
// way. The tree is found by parent ids (Postgres gives each child a session of its own, so process groups don't help),
// and never by name.
// Invariants:
//   PT1. A stopped tree is stopped as a whole, also if it forks while it is being stopped.
//   PT2. Only the tree is signalled: a process id that was given to somebody else meanwhile is left alone.

import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { fault } from './codes.ts'

/** A process, told from a later one with the same id by its start. */
export interface ProcessIdentity {
  readonly pid: number
  readonly started: string
}

interface ProcessEntry extends ProcessIdentity {
  readonly parent: number
  readonly state: string
}

const ROUNDS_MAX = 20 // a tree that still grows after so many rounds of stopping is not ours to tame

/** Stops (SIGSTOP) a process and all its descendants; tells how many. Throws FAULT_UNKNOWN if there is none, FAULT_INVALID if this process is among them. */
export function stopTree(pid: number): number {
  const stopped = new Set<number>()
  for (let round = 0; round < ROUNDS_MAX; round++) {
    const fresh = listTree(pid).filter((entry) => !stopped.has(entry.pid))
    if (fresh.length === 0) break
    for (const entry of fresh) {
      signalOne(entry, 'SIGSTOP')
      stopped.add(entry.pid)
    }
  }
  if (stopped.size === 0) throw fault('FAULT_UNKNOWN', `no process ${pid} to stop`)
  return stopped.size
}

/** Lets a stopped tree run on (SIGCONT); tells how many processes. Harmless if it runs or is gone. */
export function continueTree(pid: number): number {
  return signalAll(listTree(pid), 'SIGCONT')
}

/** Kills (SIGKILL) a process and all its descendants, stopped or not; tells how many. Harmless if it is gone. */
export function killTree(pid: number): number {
  if (listTree(pid).length === 0) return 0
  stopTree(pid) // so that nothing forks away between the look and the kill
  return signalAll(listTree(pid), 'SIGKILL')
}

/** Signals those that still are the processes that they were. */
export function signalAll(processes: readonly ProcessIdentity[], signal: NodeJS.Signals): number {
  return processes.filter((entry) => signalOne(entry, signal)).length
}

/** The process and its descendants, parents first; zombies left out. Throws FAULT_INVALID for a tree that is not to be touched. */
export function listTree(root: number): readonly ProcessIdentity[] {
  if (!Number.isInteger(root) || root <= 1) throw fault('FAULT_INVALID', `${root} is not the id of a process to break`)
  const children = new Map<number, ProcessEntry[]>()
  const entries = listProcesses()
  for (const entry of entries) children.set(entry.parent, [...(children.get(entry.parent) ?? []), entry])
  const tree = entries.filter(({ pid }) => pid === root)
  for (let index = 0; index < tree.length; index++) tree.push(...(children.get(tree[index]?.pid ?? 0) ?? []))
  if (tree.some(({ pid }) => pid === process.pid)) {
    throw fault('FAULT_INVALID', `process ${root} is this one or an ancestor of it`)
  }
  return tree.filter(({ state }) => !state.startsWith('Z'))
}

function signalOne({ pid, started }: ProcessIdentity, signal: NodeJS.Signals): boolean {
  if (readStart(pid) !== started) return false
  try {
    return process.kill(pid, signal)
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ESRCH') return false // it ended just now
    throw fault('FAULT_INVALID', `can't send ${signal} to process ${pid}: ${String(error)}`, { cause: error })
  }
}

function readStart(pid: number): string | undefined {
  if (process.platform === 'linux') return readStat(pid)?.started
  return listProcesses().find((entry) => entry.pid === pid)?.started
}

function listProcesses(): readonly ProcessEntry[] {
  if (process.platform === 'linux') {
    const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name))
    return pids.map((name) => readStat(Number(name))).filter((entry) => entry !== undefined)
  }
  const { stdout } = spawnSync('ps', ['-A', '-o', 'pid=,ppid=,state=,lstart='], { encoding: 'utf8' })
  return (stdout ?? '').split('\n').flatMap((line) => {
    const match = /^\s*(\d+)\s+(\d+)\s+(\S+)\s+(.+)$/.exec(line)
    if (match === null) return []
    return [{ pid: Number(match[1]), parent: Number(match[2]), state: match[3] ?? '', started: match[4] ?? '' }]
  })
}

/** From /proc/PID/stat: `pid (name) state parent … start`; the name may hold anything, brackets too. */
function readStat(pid: number): ProcessEntry | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return { pid, state: fields[0] ?? '', parent: Number(fields[1]), started: fields[19] ?? '' }
  } catch {
    return undefined // it ended while we looked
  }
}
