// What the command line does. Everything of the world that it touches is handed in.
//   AX2. Exit codes: 0 nothing strong (that is new or worse, with a baseline); 1 something is; 2 the command was wrong, a rule broke, or nothing was
//        read: an audit that saw nothing does not say that all is well.
//   AX3. Reports go to stdout or to files, and nothing else does; progress and words go to stderr.
//   AX4. What was not read, and what a format could not hold, is said on stderr whatever the formats.

import { type Command, parseArguments, usageOf } from './arguments.ts'
import { audit } from './audit.ts'
import { cachePlace } from './cache/place.ts'
import { auditError } from './codes.ts'
import { type Comparable, compare } from './findings/comparison.ts'
import type { Io } from './io.ts'
import { auditMesh } from './mesh/audit-mesh.ts'
import { createProgress } from './progress.ts'
import { explainRule, listRules } from './reports/explain.ts'
import { showPlace } from './reports/figure.ts'
import { ENDINGS, type Format, render } from './reports/formats.ts'
import { parseReport } from './reports/json.ts'
import { readinessOf, renderReadiness } from './reports/readiness.ts'
import type { Report } from './reports/report.ts'
import { parseResults } from './reports/results.ts'
import { RULES, ruleById } from './rules/index.ts'
import { createTimings, formatTimings } from './timings.ts'

/** AX2. Never throws: what is wrong is said. */
export async function runCommand(args: readonly string[], io: Io): Promise<number> {
  try {
    return await run(parseArguments(args), io)
  } catch (error) {
    const { code = 'INTERNAL', message = '' } = error instanceof Error ? (error as Error & { code?: string }) : {}
    io.say(`${code}: ${message}\n${code === 'AUDIT_USAGE' ? `\n${usageOf(io.program)}` : ''}`)
    return 2
  }
}

async function run(command: Command, io: Io): Promise<number> {
  switch (command.kind) {
    case 'help':
      io.out(usageOf(io.program))
      return 0
    case 'version':
      io.out(`${io.version}\n`)
      return 0
    case 'explain':
      return explain(command.rule, io)
    case 'diff':
      return diff(command, io)
    case 'readiness':
      return readiness(command, io)
    case 'mesh':
    case 'audit':
      return await auditAnything(command, io)
    default:
      return command satisfies never
  }
}

function explain(id: string | undefined, io: Io): number {
  const rule = id === undefined ? undefined : ruleById(id)
  if (id !== undefined && rule === undefined)
    throw auditError('AUDIT_USAGE', `no rule is called ${id}; \`explain\` alone lists them`)
  io.out(rule === undefined ? listRules(RULES) : explainRule(rule))
  return 0
}

function diff({ before, after }: Command & { readonly kind: 'diff' }, io: Io): number {
  const past = parseReport(io.readText(before), before).findings
  const now = parseReport(io.readText(after), after).findings
  const { appeared, grown, gone, same } = compare(past, now)
  const line = (sign: string, { severity, tier, rule, title, evidence }: Comparable): string =>
    `${sign} ${severity} ${tier} ${rule}: ${title} (${evidence[0] === undefined ? '' : showPlace(evidence[0])})\n`
  for (const finding of appeared) io.out(line('+', finding))
  for (const finding of grown) io.out(line('>', finding))
  for (const finding of gone) io.out(line('-', finding))
  io.out(`${appeared.length} new, ${grown.length} worse, ${gone.length} gone, ${same.length} as before\n`)
  return [...appeared, ...grown].some(isStrong) ? 1 : 0
}

/** AX2: 1 is `not ready` here, with risks or without. */
function readiness({ results, formats, out }: Command & { readonly kind: 'readiness' }, io: Io): number {
  const judged = readinessOf(parseResults(io.readText(results), results), results.split(/[\\/]/).pop() ?? results)
  for (const format of formats) {
    const text = format === 'json' ? `${JSON.stringify(judged, undefined, 2)}\n` : renderReadiness(judged)
    deliver(text, format, out, formats.length > 1, io)
  }
  return judged.verdict === 'READY' ? 0 : 1
}

function isStrong({ tier, suppressed }: Comparable): boolean {
  return tier !== 'review' && suppressed === undefined
}

type AuditCommand = Command & { readonly kind: 'audit' | 'mesh' }

async function auditAnything(command: AuditCommand, io: Io): Promise<number> {
  const { formats, out, baseline } = command
  // Read first: a baseline that can't be read must not cost the time of a scan.
  const past = baseline === undefined ? undefined : parseReport(io.readText(baseline), baseline).findings
  const report = command.kind === 'mesh' ? await reportMesh(command.address, io) : await reportFolder(command, io)
  for (const format of formats) write(report, format, out, formats.length > 1, io)
  sayCoverage(report, io)
  const { figures, coverage, grade } = report
  io.say(
    `grade ${grade ?? 'not measurable here'}: ${figures.strong.value} strong, ${figures.review.value} for review\n`,
  )
  const counted = past === undefined ? report.findings : worse(past, report.findings, io)
  if (coverage.brokenRules.length > 0 || grade === null) return 2
  return counted.some(isStrong) ? 1 : 0
}

function reportMesh(address: string, { clock, version, env }: Io): Promise<Report> {
  return auditMesh(address, { clock, version, key: env.RIPSTOP_KEY })
}

async function reportFolder(command: AuditCommand & { readonly kind: 'audit' }, io: Io): Promise<Report> {
  const timings = createTimings(io.clock)
  const progress = createProgress(io.say, io.isWatched, io.clock)
  const { report, isFromCache } = await audit(command.target, {
    clock: io.clock,
    version: io.version,
    cachePath: command.isCached ? (command.cache ?? cachePlace(io.env, process.platform)) : undefined,
    progress: progress.step,
    problem: (what) => {
      progress.clear()
      io.say(`${what}\n`)
    },
    timings,
  }).finally(progress.clear)
  if (isFromCache) io.say('nothing has changed since the last audit: this is its report\n')
  if (command.isTimed) io.say(formatTimings(timings))
  return report
}

function worse(past: readonly Comparable[], now: Report['findings'], io: Io): Report['findings'] {
  const { appeared, grown, gone } = compare(past, now)
  io.say(`against the baseline: ${appeared.length} new, ${grown.length} worse, ${gone.length} gone\n`)
  return [...appeared, ...grown]
}

function write(report: Report, format: Format, out: string | undefined, isOneOfMany: boolean, io: Io): void {
  const { text, truncated } = render(report, format)
  if (truncated !== undefined) io.say(`${format}: ${truncated}\n`)
  deliver(text, format, out, isOneOfMany, io)
}

/** AX3. */
function deliver(text: string, format: Format, out: string | undefined, isOneOfMany: boolean, io: Io): void {
  if (out === undefined) {
    io.out(text)
    return
  }
  const path = isOneOfMany ? `${out.replace(/\.(md|html|json|sarif|xml)$/, '')}${ENDINGS[format]}` : out
  io.writeText(path, text)
  io.say(`wrote ${path}\n`)
}

/** AX4. */
function sayCoverage({ coverage }: Report, io: Io): void {
  const { unread, brokenRules, suppressionProblems } = coverage
  for (const why of new Set(unread.map((one) => one.why))) {
    const own = unread.filter((one) => one.why === why)
    const names = own.slice(0, 3).map(({ path }) => path)
    io.say(`not read, ${why}: ${own.length} (${names.join(', ')}${own.length > names.length ? ', …' : ''})\n`)
  }
  for (const { rule, message } of brokenRules) io.say(`rule ${rule} broke: ${message}\n`)
  for (const { file, line, problem } of suppressionProblems) io.say(`suppression at ${file}:${line}: ${problem}\n`)
}
