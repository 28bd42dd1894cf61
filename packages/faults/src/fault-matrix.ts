// Fault matrix. Every fault on every link: measure, inject, hold, heal, check every link. One cell each.
// Invariants:
//   FM1. A fault is healed whatever happened while it was on, before the next cell begins.
//   FM2. A cell has recovered only if the links that were not broken have too: a tear stops at the next thread.

import { type Clock, createSeededRandom, systemClock } from '@ripstop/kernel'
import { drawOrder } from './fault-schedule.ts'
import {
  checkRecovery,
  type RecoverableLink,
  type RecoveryOptions,
  type RecoveryVerdict,
  takeBaseline,
} from './recovery-checker.ts'
import { wait, within } from './wait.ts'

const STEP_MAX_MS = 60_000 // an inject or heal that takes longer is given up

/** Something that can be done to a link's peer, and undone. */
export interface Fault<L extends RecoverableLink = RecoverableLink> {
  readonly name: string
  inject(link: L): unknown
  heal(link: L): unknown
  /** How long it stays on, in the place of the matrix's own `holdMs`. */
  readonly holdMs?: number
}

export interface FaultMatrixOptions<L extends RecoverableLink>
  extends Omit<RecoveryOptions<L>, 'baseline' | 'healedMonoMs'> {
  readonly faults: readonly Fault<L>[]
  /** How long each fault stays on [1,000]. */
  readonly holdMs?: number
  /** The order of the cells [0]. */
  readonly seed?: number
  /** Called after each cell, for progress. */
  readonly onCell?: (cell: FaultCell) => void
}

export interface FaultCell {
  readonly fault: string
  readonly link: string
  readonly seed: number
  /** This link and all others have. */
  readonly recovered: boolean
  /** Of the link that was broken. */
  readonly verdict: RecoveryVerdict
  /** Of the others. */
  readonly others: readonly RecoveryVerdict[]
  /** What kept the fault from being injected or healed. */
  readonly problems: readonly string[]
}

/** Runs all cells one after another, in an order drawn from `seed`. Never throws: what goes wrong is in the cells. */
export async function runFaultMatrix<L extends RecoverableLink>(
  options: FaultMatrixOptions<L>,
): Promise<readonly FaultCell[]> {
  const { faults, links, seed = 0 } = options
  const cells = faults.flatMap((fault) => links.map((link) => ({ fault, link })))
  const done = new Map<(typeof cells)[number], FaultCell>()
  for (const cell of drawOrder(cells, createSeededRandom(seed))) {
    const result = await runCell(cell.fault, cell.link, options, seed)
    done.set(cell, result)
    options.onCell?.(result)
  }
  return cells.map((cell) => done.get(cell)).filter((cell) => cell !== undefined)
}

async function runCell<L extends RecoverableLink>(
  fault: Fault<L>,
  link: L,
  options: FaultMatrixOptions<L>,
  seed: number,
): Promise<FaultCell> {
  const clock = options.clock ?? systemClock
  const baseline = await takeBaseline(options)
  const problems: string[] = []
  await step(clock, 'inject', problems, () => fault.inject(link))
  if (problems.length === 0) await wait(clock, fault.holdMs ?? options.holdMs ?? 1_000)
  await step(clock, 'heal', problems, () => fault.heal(link))
  const verdicts = await checkRecovery({ ...options, baseline })
  const verdict = verdicts[options.links.indexOf(link)] as RecoveryVerdict
  return {
    fault: fault.name,
    link: link.name,
    seed,
    recovered: problems.length === 0 && verdicts.every(({ recovered }) => recovered),
    verdict,
    others: verdicts.filter((other) => other !== verdict),
    problems,
  }
}

async function step(clock: Clock, name: string, problems: string[], act: () => unknown): Promise<void> {
  try {
    const run = async (): Promise<unknown> => act()
    if ((await within(clock, STEP_MAX_MS, run())) === 'late') problems.push(`${name} took over ${STEP_MAX_MS} ms`)
  } catch (error) {
    problems.push(`${name} failed: ${error instanceof Error ? error.message : String(error)}`)
  }
}

/** The cells as a Markdown table, faults down, links across, then what did not recover and why. */
export function renderFaultMatrix(cells: readonly FaultCell[]): string {
  const links = [...new Set(cells.map(({ link }) => link))]
  const faults = [...new Set(cells.map(({ fault }) => fault))]
  const at = (fault: string, link: string): FaultCell | undefined =>
    cells.find((cell) => cell.fault === fault && cell.link === link)
  const row = (texts: readonly string[]): string =>
    `| ${texts.map((text) => text.replaceAll('|', '\\|')).join(' | ')} |`
  const torn = cells.filter(({ recovered }) => !recovered)
  const seeds = [...new Set(cells.map(({ seed }) => seed))].join(', ')
  return [
    row(['fault', ...links]),
    `|---|${links.map(() => '---|').join('')}`,
    ...faults.map((fault) => row([fault, ...links.map((link) => renderCell(at(fault, link)))])),
    '',
    `${cells.length - torn.length} of ${cells.length} recovered (seed ${seeds}).`,
    ...torn.map((cell) => `- ${cell.fault} on ${cell.link}: ${reasonsOf(cell).join('; ')}`),
    '',
  ].join('\n')
}

function renderCell(cell: FaultCell | undefined): string {
  if (cell === undefined) return ''
  return cell.recovered ? `${cell.verdict.recoveredMs} ms` : '**no**'
}

function reasonsOf({ problems, verdict, others }: FaultCell): readonly string[] {
  const beside = others.flatMap(({ link, reasons }) => reasons.map((reason) => `${link}: ${reason}`))
  return [...problems, ...verdict.reasons, ...beside]
}
