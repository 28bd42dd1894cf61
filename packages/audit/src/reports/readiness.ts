// Readiness: is this system ready, by the results of its own tests? Shares by category against a threshold, a verdict, and what to do first. Passes that show
// nothing are named: a test that is content with "not found" passes against a server that has no such route.
//   RE16. Skipped and unknown tests count against the share: what did not run shows nothing.
//   RE17. A pass whose own words say that something was not found, not there or not run is hollow: it is named, and the share without it is given beside.
//   RE18. Every number comes from the file and is `measured`; thresholds are `assumed` until somebody sets them.

import { type Figure, figure, showFigure } from './figure.ts'
import { plain } from './markdown-text.ts'
import { OUTCOMES, type Outcome, type TestResult } from './results.ts'

/** Shares in percent. Overall and of each category. */
export const THRESHOLDS = { ready: 95, risky: 80 } as const
export const VERDICTS = ['READY', 'READY_WITH_RISKS', 'NOT_READY'] as const
export type Verdict = (typeof VERDICTS)[number]

const HOLLOW =
  /\b(not[ _-]found|404|no such|does ?n[o']t exist|not (yet )?(implemented|available|accessible|run)|expected to fail|unavailable|mock(ed)?|stub)\b/i

export interface CategoryReadiness {
  readonly name: string
  readonly counts: Readonly<Record<Outcome, Figure>>
  readonly tests: Figure
  readonly share: Figure
  /** Without passes that are hollow. */
  readonly shareProven: Figure
  readonly verdict: Verdict
}

export interface Readiness {
  readonly format: 'ripstop-readiness'
  readonly version: 1
  readonly source: string
  readonly overall: CategoryReadiness
  readonly threshold: Figure
  readonly categories: readonly CategoryReadiness[]
  readonly hollow: readonly TestResult[]
  readonly verdict: Verdict
  readonly because: readonly string[]
  readonly actions: readonly { readonly priority: 'P0' | 'P1' | 'P2'; readonly text: string }[]
}

export function readinessOf(tests: readonly TestResult[], source: string): Readiness {
  const hollow = tests.filter(isHollow)
  const overall = readinessOfCategory('overall', tests, source)
  const byName = new Map<string, TestResult[]>()
  for (const test of tests) byName.set(test.category, [...(byName.get(test.category) ?? []), test])
  const categories = [...byName].map(([name, own]) => readinessOfCategory(name, own, source))
  const worst = [overall, ...categories].map(({ verdict: own }) => VERDICTS.indexOf(own))
  const because = [overall, ...categories]
    .filter(({ verdict: own }) => own !== 'READY')
    .map(({ name, share }) => `${name}: ${showFigure(share)}, below ${THRESHOLDS.ready} % (assumed)`)
  if (hollow.length > 0) because.push(`${hollow.length} of ${overall.counts.passed.value} passes show nothing (static)`)
  return {
    format: 'ripstop-readiness',
    version: 1,
    source,
    overall,
    threshold: figure(THRESHOLDS.ready, '%', 'assumed', 'the default of this version, of every category'),
    categories,
    hollow,
    verdict: VERDICTS[Math.max(...worst)] as Verdict,
    because,
    actions: actionsOf(categories, hollow),
  }
}

/** RE17. */
export function isHollow({ outcome, says }: TestResult): boolean {
  return outcome === 'passed' && HOLLOW.test(says)
}

function readinessOfCategory(name: string, tests: readonly TestResult[], source: string): CategoryReadiness {
  const measured = (value: number, unit: string): Figure => figure(value, unit, 'measured', source)
  const count = (outcome: Outcome): number => tests.filter((test) => test.outcome === outcome).length
  const share = percent(count('passed'), tests.length)
  const counts = OUTCOMES.map((outcome) => [outcome, measured(count(outcome), outcome)] as const)
  return {
    name,
    counts: Object.fromEntries(counts) as Record<Outcome, Figure>,
    tests: measured(tests.length, 'tests'),
    share: measured(share, '%'),
    shareProven: measured(percent(count('passed') - tests.filter(isHollow).length, tests.length), '%'),
    verdict: share >= THRESHOLDS.ready ? 'READY' : share >= THRESHOLDS.risky ? 'READY_WITH_RISKS' : 'NOT_READY',
  }
}

/** RE16: of all, to one decimal. */
function percent(part: number, all: number): number {
  return all === 0 ? 0 : Math.round((part / all) * 1_000) / 10
}

function actionsOf(categories: readonly CategoryReadiness[], hollow: readonly TestResult[]): Readiness['actions'] {
  const actions: { priority: 'P0' | 'P1' | 'P2'; text: string }[] = []
  for (const { name, counts } of categories) {
    const { failed, skipped, unknown } = counts
    if (failed.value > 0) actions.push({ priority: 'P0', text: `${name}: mend what fails: ${showFigure(failed)}` })
    if (skipped.value + unknown.value > 0)
      actions.push({
        priority: failed.value > 0 ? 'P1' : 'P0',
        text: `${name}: make it run: ${showFigure(skipped)}, ${showFigure(unknown)}; nothing is known of what it stands for`,
      })
  }
  for (const { name } of hollow)
    actions.push({
      priority: 'P1',
      text: `${name}: let it fail unless the thing itself answers; it passes now without it`,
    })
  return actions.sort((a, b) => (a.priority < b.priority ? -1 : a.priority > b.priority ? 1 : 0))
}

export function renderReadiness(readiness: Readiness): string {
  const { overall, categories, hollow, because, actions, source, threshold } = readiness
  const row = ({ name, tests, counts, share, shareProven, verdict }: CategoryReadiness): string =>
    `| ${[plain(name), tests.value, counts.passed.value, counts.failed.value, counts.skipped.value, counts.unknown.value, `${share.value} %`, `${shareProven.value} %`, verdict].join(' | ')} |`
  return [
    `# Readiness by ${plain(source)}`,
    `**${readiness.verdict}** · ${showFigure(overall.share)} of ${showFigure(overall.tests)} passed; threshold ${showFigure(threshold)}`,
    ...because.map((line) => `- ${plain(line)}`),
    '',
    '## Categories',
    'All numbers are measured: counted in the file. What was skipped counts against the share; "proven" leaves out passes that show nothing.',
    '',
    '| category | tests | passed | failed | skipped | unknown | share | proven | verdict |',
    '| --- | --- | --- | --- | --- | --- | --- | --- | --- |',
    ...[...categories, overall].map(row),
    '',
    '## Passes that show nothing',
    ...(hollow.length === 0
      ? ['None was seen.']
      : hollow.map(({ name, says }) => `- ${plain(name)}: "${plain(says)}"`)),
    '',
    '## What to do',
    ...(actions.length === 0 ? ['Nothing.'] : actions.map(({ priority, text }) => `- ${priority} ${plain(text)}`)),
    '',
  ].join('\n')
}
