// The corpus of confirmed findings, and what the auditor says of the same places. It is not part of the repository: RIPSTOP_CORPUS names a folder with `seed.json`
// and a tree `<name>-<first 8 of the commit>` for each of its systems.

import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

export interface Row {
  readonly rule: string
  readonly file: string
  readonly line: number
  readonly endLine?: number
  readonly why: string
}

export interface System {
  /** Of judged.jsonl: who judged it, J before and W after what J's systems taught was mended. */
  readonly judge?: string
  readonly repo: string
  readonly commit: string
  readonly findings: readonly Row[]
  readonly negatives: readonly Row[]
  /** `rule@file`: all there is of the rule in that file is among the findings. */
  readonly exhaustive?: readonly string[]
}

/** What was found at one place. */
export interface Spot {
  readonly rule: string
  readonly tier: string
  readonly file: string
  readonly line: number
  readonly endLine: number
}

export interface Verdict {
  readonly system: string
  readonly row: Row
  readonly spot: Spot | undefined
}

export interface Score {
  readonly rows: readonly Verdict[]
  /** Of exhaustive pairs: found, and not among the findings. */
  readonly false: readonly (Spot & { readonly system: string })[]
  /** Negatives that something was found at. */
  readonly broken: readonly Verdict[]
  readonly isExhaustive: (system: string, rule: string, file: string) => boolean
}

/** Trees in which what a report found was mended, and the files that the mending was about. */
export const MENDED: Readonly<Record<string, readonly string[]>> = {
  'zen-998227d4': ['clients/auth_client_cache.py'],
  'zen-4406eba8': ['app/redis_manager.py', 'mcp_client/connection_manager.py', 'websocket_core/unified_manager.py'],
  'zen-9465d29e': ['core/async_connection_pool.py'],
  'zen-b7864455': ['websocket/message_queue.py'],
}

/** Lines of a claim and of what was found may differ by so much: decorators, the line of a call's options. */
export const LINES_APART_MAX = 1

export function nameOf({ repo, commit }: System): string {
  return `${repo.split('/')[1]}-${commit.slice(0, 8)}`
}

/** Undefined: there is no corpus here. */
export function readCorpus(folder: string | undefined): readonly System[] | undefined {
  const file = folder === undefined ? '' : join(folder, 'seed.json')
  if (!existsSync(file)) return undefined
  const systems = JSON.parse(readFileSync(file, 'utf8')) as readonly System[]
  return systems.filter((system) => existsSync(join(folder as string, nameOf(system))))
}

/** Systems that were judged by hand before the auditor had read them (bench/audit/judged.jsonl): those whose trees are in the folder. */
export function readJudged(folder: string): readonly System[] {
  const lines = readFileSync(join(import.meta.dirname, '../../bench/audit/judged.jsonl'), 'utf8')
    .trimEnd()
    .split('\n')
  const systems = lines.map((line) => JSON.parse(line) as System)
  return systems.filter((system) => existsSync(join(folder, nameOf(system))))
}

function matches(row: Row, spot: Spot): boolean {
  if (row.rule !== spot.rule || row.file !== spot.file) return false
  return spot.line <= (row.endLine ?? row.line) + LINES_APART_MAX && spot.endLine >= row.line - LINES_APART_MAX
}

/** `spots` of each system by its name. A row takes the nearest spot; one spot may answer several rows. */
export function score(systems: readonly System[], spots: ReadonlyMap<string, readonly Spot[]>): Score {
  const rows: Verdict[] = []
  const wrong: (Spot & { system: string })[] = []
  const broken: Verdict[] = []
  const pairs = new Set<string>()
  for (const each of systems) {
    const system = nameOf(each)
    const own = spots.get(system) ?? []
    const nearest = (row: Row): Spot | undefined =>
      own
        .filter((spot) => matches(row, spot))
        .sort((a, b) => Math.abs(a.line - row.line) - Math.abs(b.line - row.line))[0]
    for (const row of each.findings) rows.push({ system, row, spot: nearest(row) })
    for (const row of each.negatives) {
      const spot = nearest(row)
      // What is right about the line beside it says nothing of this one.
      const isOfARow = each.findings.some((other) => spot?.line === other.line && matches(other, spot))
      if (spot !== undefined && !isOfARow) broken.push({ system, row, spot })
    }
    for (const pair of each.exhaustive ?? []) {
      pairs.add(`${system} ${pair}`)
      for (const spot of own)
        if (`${spot.rule}@${spot.file}` === pair && !each.findings.some((row) => matches(row, spot)))
          wrong.push({ ...spot, system })
    }
  }
  const isExhaustive = (system: string, rule: string, file: string): boolean => pairs.has(`${system} ${rule}@${file}`)
  return { rows, false: wrong, broken, isExhaustive }
}
