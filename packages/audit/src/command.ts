// What the command line does. Everything of the world that it touches is handed in.
//   AX2. Exit codes: 0 nothing strong (that is new or worse, with a baseline); 1 something is; 2 the command was wrong, a rule broke, or nothing was
//        read: an audit that saw nothing does not say that all is well.
//   AX3. Reports go to stdout or to files, and nothing else does; progress and words go to stderr.
//   AX4. What was not read, and what a format could not hold, is said on stderr whatever the formats.
//   RW3. Where a report goes is made sure of before the work. Without --format: what the ending of --out says, else Markdown; at a terminal a few words, and
//        the page in this user's cache.

import { dirname, isAbsolute, join, relative, resolve, sep } from 'node:path'
import { isRipstopError } from '@ripstop/kernel'
import { type Command, parseArguments, usageOf } from './arguments.ts'
import { audit } from './audit.ts'
import { cachePlace } from './cache/place.ts'
import { auditError } from './codes.ts'
import { type Comparable, compare } from './findings/comparison.ts'
import type { Io } from './io.ts'
import { auditMesh } from './mesh/audit-mesh.ts'
import { createProgress } from './progress.ts'
import { brokenIn } from './reports/coverage.ts'
import { explainRule, listRules } from './reports/explain.ts'
import { showPlace } from './reports/figure.ts'
import { ENDINGS, type Format, render } from './reports/formats.ts'
import { parseReport } from './reports/json.ts'
import { readinessOf, renderReadiness } from './reports/readiness.ts'
import type { Report } from './reports/report.ts'
import { parseResults } from './reports/results.ts'
import { oneLine, type Screen, sayGrade, sayWorst } from './reports/words.ts'
import { RULES, ruleById } from './rules/index.ts'
import { suggest } from './suggest.ts'
import { createTimings, formatTimings } from './timings.ts'

/** AX2. Never throws: what is wrong is said. */
export async function runCommand(args: readonly string[], io: Io): Promise<number> {
  try {
    return await run(parseArguments(args), io)
  } catch (error) {
    io.say(`${explainError(error, io)}\n`)
    return 2
  }
}

/** What went wrong and what to do about it; all of the usage only for who has said nothing yet. */
function explainError(error: unknown, { program, columns }: Io): string {
  if (!isRipstopError(error)) return `INTERNAL: ${error instanceof Error ? error.message : 'unknown'}`
  const { code, message, fix, details } = error
  if (code !== 'AUDIT_USAGE') return `${code}: ${message}\n${fix}`
  return `${code}: ${message}\n${details.isLost === true ? `\n${usageOf(program, columns)}` : `\`${program} --help\` shows all of it.`}`
}

async function run(command: Command, io: Io): Promise<number> {
  switch (command.kind) {
    case 'help':
      io.out(usageOf(io.program, io.columns))
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
    throw auditError(
      'AUDIT_USAGE',
      `no rule is called ${id}${suggest(
        id,
        RULES.map(({ meta }) => meta.id),
      )}; \`explain\` alone lists them`,
    )
  io.out(rule === undefined ? listRules(RULES, io.columns) : explainRule(rule, io.columns))
  return 0
}

function diff({ before, after }: Command & { readonly kind: 'diff' }, io: Io): number {
  const past = parseReport(io.readText(before), before).findings
  const now = parseReport(io.readText(after), after).findings
  const { appeared, grown, gone, same } = compare(past, now)
  const line = (sign: string, { severity, tier, rule, title, evidence }: Comparable): string =>
    `${oneLine(`${sign} ${severity} ${tier} ${rule}: ${title} (${evidence[0] === undefined ? '' : showPlace(evidence[0])})`)}\n`
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
  const { baseline } = command
  // Read first: a baseline that can't be read, or a place that can't be written, must not cost the time of a scan.
  const past = baseline === undefined ? undefined : parseReport(io.readText(baseline), baseline).findings
  const out = command.out === undefined ? undefined : io.prepare(command.out)
  const report = command.kind === 'mesh' ? await reportMesh(command.address, io) : await reportFolder(command, io)
  const isDocument = command.formats.length > 0 || out !== undefined || io.columns === undefined
  const formats = isDocument && command.formats.length === 0 ? (['md'] as const) : command.formats
  const links = out === undefined || command.kind === 'mesh' ? undefined : linksFrom(out, command.target)
  for (const format of formats) write(report, format, out, formats.length > 1 || out !== command.out, links, io)
  sayCoverage(report, io)
  const screen: Screen = { columns: io.columns, hasColour: hasColour(io) }
  io.say(sayGrade(report, screen))
  const counted = past === undefined ? report.findings : worse(past, report.findings, io)
  io.say(sayWorst(report, counted, screen))
  if (!isDocument) writePage(report, cacheOf(command, io), io)
  if (brokenIn(report.coverage).length > 0 || report.grade === null) return 2
  return counted.some(isStrong) ? 1 : 0
}

/** RW3. */
function writePage(report: Report, cache: string | undefined, io: Io): void {
  if (report.grade === null) return
  if (cache === undefined) {
    io.say('for the page: --format html --out FILE\n')
    return
  }
  const path = io.prepare(join(cache, 'pages', `${report.name.replace(/[^\w.-]+/g, '-')}.html`))
  io.writeText(path, render(report, 'html').text)
  io.say(`page: ${path}\n`)
}

/** RW2: on a terminal, and not where somebody has asked for none (no-color.org). */
function hasColour({ isWatched, env: { NO_COLOR: none = '', TERM: terminal } }: Io): boolean {
  return isWatched && none === '' && terminal !== 'dumb'
}

function cacheOf(command: AuditCommand, { env }: Io): string | undefined {
  if (command.kind === 'audit' && !command.isCached) return undefined
  return (command.kind === 'audit' ? command.cache : undefined) ?? cachePlace(env, process.platform)
}

function reportMesh(address: string, { clock, version, env }: Io): Promise<Report> {
  return auditMesh(address, { clock, version, key: env.RIPSTOP_KEY })
}

async function reportFolder(command: AuditCommand & { readonly kind: 'audit' }, io: Io): Promise<Report> {
  const timings = createTimings(io.clock)
  const progress = createProgress(io.say, io.isWatched, io.clock, io.columns)
  const { report, isFromCache } = await audit(command.target, {
    clock: io.clock,
    version: io.version,
    cachePath: cacheOf(command, io),
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

/** From a report inside of what is audited; from elsewhere there are none: they would name the folders above it. */
function linksFrom(out: string, target: string): string | undefined {
  const from = relative(resolve(target), dirname(resolve(out)))
  if (from === '..' || from.startsWith(`..${sep}`) || isAbsolute(from)) return undefined
  return relative(dirname(resolve(out)), resolve(target))
    .split(sep)
    .join('/')
}

function write(
  report: Report,
  format: Format,
  out: string | undefined,
  isOneOfMany: boolean,
  links: string | undefined,
  io: Io,
): void {
  const { text, truncated } = render(report, format, links)
  if (truncated !== undefined) io.say(`${format}: ${truncated}\n`)
  deliver(text, format, out, isOneOfMany, io)
}

/** AX3. */
function deliver(text: string, format: Format, out: string | undefined, isOneOfMany: boolean, io: Io): void {
  if (out === undefined) {
    io.out(text)
    return
  }
  const path = isOneOfMany ? `${out.replace(/(\.junit)?\.(md|html|json|sarif|xml)$/, '')}${ENDINGS[format]}` : out
  io.writeText(path, text)
  io.say(`wrote ${path}\n`)
}

/** AX4. */
function sayCoverage({ coverage }: Report, io: Io): void {
  const { unread, suppressionProblems } = coverage
  for (const why of new Set(unread.map((one) => one.why))) {
    const own = unread.filter((one) => one.why === why)
    const names = own.slice(0, 3).map(({ path }) => path)
    io.say(
      `${oneLine(`not read, ${why}: ${own.length} (${names.join(', ')}${own.length > names.length ? ', …' : ''})`)}\n`,
    )
  }
  for (const what of brokenIn(coverage)) io.say(`${oneLine(what)}\n`)
  for (const { file, line, problem } of suppressionProblems)
    io.say(`${oneLine(`suppression at ${file}:${line}: ${problem}`)}\n`)
}
