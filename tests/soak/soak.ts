// A soak run: a real mesh carries traffic and idempotent writes while random faults of a seed break and heal what it needs,
// its processes and itself. After each round all must be well within a bound; at the end nothing acknowledged may be lost
// or doubled, no request may have hung, and memory and descriptors must be what they were.

import { mkdirSync, writeFileSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createFaultSchedule } from '@ripstop/faults'
import { type Fixture, startFixture } from '../mesh/fixture.ts'
import { until } from '../mesh/harness.ts'
import { type Late, startTraffic, type Traffic } from '../mesh/traffic.ts'
import { findDifferences, startWriters, type Writers } from '../mesh/writers.ts'
import { createTargets, FAULTS, type FaultName, TARGETS, type TargetName } from './targets.ts'

const MINUTE_MS = 60_000
/** After a round everything is well by then: the longest pause of a breaker, and a machine that others use too. */
const WELL_WITHIN_MS = 15_000
/** A request that met a process of the mesh that was stopped has to wait for it. */
const AROUND_MS = 5_000
const MEMORY_MAX_BYTES = 300_000_000
const DESCRIPTORS_MAX = 200
const STATE = join(import.meta.dirname, '..', '..', '.ripstop')

/** Whatever is broken, nothing else may be answered. */
const TYPED = [
  '200',
  '502 LINK_LOST',
  '502 PEER_FAILED',
  '503 LINK_DOWN',
  '503 LINK_CLOSED',
  '503 BREAKER_OPEN',
  '503 OVERLOADED',
  '504 DEADLINE_EXCEEDED',
]
const NOBODY = ['0 ECONNREFUSED', '0 ECONNRESET', '0 EPIPE', '0 socket hang up']

type Flow = 'open' | 'control' | 'livez' | 'readyz'

interface Span {
  readonly fromMs: number
  readonly toMs: number
}

/** Times in which a process that serves was broken; requests from then may be late. */
const spans: Span[] = []

const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 1_000_000))
const minutes = Number(process.env.SOAK_MINUTES ?? 10)
if (!Number.isInteger(seed) || !(minutes > 0)) {
  process.stderr.write('SEED must be a whole number, SOAK_MINUTES a number above 0\n')
  process.exit(2)
}
say(`soak: ${minutes} min, SEED=${seed}`)
const problems = await run()
for (const problem of problems.slice(0, 50)) say(`  ${problem}`)
say(`soak: ${problems.length === 0 ? 'PASSED' : `FAILED, ${problems.length} problems`} (SEED=${seed})`)
process.exit(problems.length === 0 ? 0 : 1)

function say(text: string): void {
  process.stdout.write(`${text}\n`)
}

async function run(): Promise<readonly string[]> {
  await using fixture = await startFixture()
  const { mesh } = fixture
  await using traffic = startTraffic<Flow>(mesh.base, {
    open: { path: '/open', everyMs: 50, deadlineMs: 2_000 },
    control: { path: '/v1/keys?limit=1', everyMs: 100, deadlineMs: 2_000 },
    livez: { path: '/livez', everyMs: 200, deadlineMs: 1_000 },
    readyz: { path: '/readyz', everyMs: 200, deadlineMs: 1_000 },
  })
  const writers = startWriters({ base: mesh.base, prefix: 'soak', count: 2, seed, pauseMs: 25 })
  const problems = await breakAndHeal(fixture, traffic)
  await writers.stop()
  const late = await traffic.stop()
  problems.push(...judgeTraffic(traffic, late), ...(await judgeWrites(fixture, writers)))
  const defects = mesh.logs().match(/.*"event":"(?:\w+\.defect|log\.dropped)".*|.*(?:unhandled|uncaught).*/gi) ?? []
  problems.push(...defects.slice(0, 5).map((line) => `logged: ${line.slice(0, 300)}`))
  if (problems.length > 0) {
    mkdirSync(STATE, { recursive: true })
    const file = join(STATE, `soak-${seed}.log`)
    writeFileSync(file, mesh.logs())
    say(`soak: what the mesh said is in ${file}`)
  }
  return problems
}

async function breakAndHeal(fixture: Fixture, traffic: Traffic<Flow>): Promise<string[]> {
  const targets = createTargets(fixture)
  const events = createFaultSchedule({ seed, faults: FAULTS, targets: TARGETS, durationMs: minutes * MINUTE_MS })
  const problems: string[] = []
  const broken = new Map<string, number>()
  const startMs = performance.now()
  const rounds = events.at(-1)?.round ?? 0
  let line: string[] = []
  let healedMs = startMs
  for (const event of events) {
    await until('the time has come', () => performance.now() >= startMs + event.atMs, minutes * MINUTE_MS + 1_000)
    if (event.action === 'check') {
      const well = await check(fixture, traffic, healedMs)
      if (well.problem !== undefined) problems.push(`round ${event.round}: ${line.join(', ')}: ${well.problem}`)
      say(
        `round ${event.round}/${rounds}: ${line.join(', ')}: ${well.problem ?? `well ${well.afterMs.toFixed(0)} ms after the last heal`}`,
      )
      line = []
      continue
    }
    const target = targets[event.target as TargetName]
    if (event.action === 'inject') {
      line.push(`${event.target} ${event.fault}`)
      broken.set(event.target, performance.now())
      await target.inject(event.fault as FaultName)
    } else {
      await target.heal(event.fault as FaultName)
      healedMs = performance.now()
      if (target.isServing)
        spans.push({ fromMs: (broken.get(event.target) ?? 0) - AROUND_MS, toMs: healedMs + AROUND_MS })
    }
  }
  return problems
}

interface Well {
  readonly afterMs: number
  readonly problem: string | undefined
}

/** Ready, nothing degraded, every link up, every kind of request answered, processes as small as ever. */
async function check({ mesh }: Fixture, traffic: Traffic<Flow>, healedMs: number): Promise<Well> {
  let left = 'it was not asked'
  const isWell = async (): Promise<boolean> => {
    const { body } = await mesh.readiness()
    const links = (await mesh.graph().catch(() => undefined))?.links ?? []
    const down = links
      .filter(({ live }) => live.state !== 'up')
      .map(({ process, name, live }) => `${process} ${name} is ${live.state}`)
    const failing = (['open', 'control', 'livez', 'readyz'] as const).filter((flow) => !isAnswered(traffic, flow))
    left = JSON.stringify({ missing: body?.missing, degraded: body?.degraded, links: links.length, down, failing })
    return (
      body?.status === 'ready' &&
      body.degraded.length === 0 &&
      links.length > 0 &&
      down.length === 0 &&
      failing.length === 0
    )
  }
  try {
    await until('all is well', isWell, WELL_WITHIN_MS)
  } catch {
    return { afterMs: performance.now() - healedMs, problem: `not well after ${WELL_WITHIN_MS} ms: ${left}` }
  }
  const afterMs = performance.now() - healedMs
  return { afterMs, problem: await findBloat([mesh.pid, await mesh.pidOf('edge'), await mesh.pidOf('work')]) }
}

function isAnswered(traffic: Traffic<Flow>, flow: Flow): boolean {
  const last = traffic.ended(flow, performance.now() - 3_000).slice(-5)
  return last.length === 5 && last.every(({ status }) => status === 200)
}

async function findBloat(pids: readonly (number | undefined)[]): Promise<string | undefined> {
  for (const pid of pids) {
    const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '')
    const bytes = Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1] ?? 0) * 1_024
    const descriptors = (await readdir(`/proc/${pid}/fd`).catch(() => [])).length
    if (bytes > MEMORY_MAX_BYTES) return `process ${pid} holds ${(bytes / 1e6).toFixed(0)} MB`
    if (descriptors > DESCRIPTORS_MAX) return `process ${pid} has ${descriptors} descriptors open`
  }
  return undefined
}

function judgeTraffic(traffic: Traffic<Flow>, late: readonly Late[]): string[] {
  const problems: string[] = []
  for (const { flow, ms, status, code, startedMs } of late) {
    if (spans.some(({ fromMs, toMs }) => startedMs >= fromMs && startedMs <= toMs)) continue
    problems.push(`${flow} was past its deadline: ${status} ${code ?? ''} after ${ms.toFixed(0)} ms`)
  }
  for (const flow of ['open', 'control', 'livez', 'readyz'] as const) {
    const tally = traffic.tally(flow)
    say(`  ${flow}: ${JSON.stringify(tally)}`)
    const allowed = [...TYPED, ...NOBODY, ...(flow === 'readyz' ? ['503'] : [])]
    for (const key of Object.keys(tally))
      if (!allowed.includes(key)) problems.push(`${flow} was answered ${key}, ${tally[key]} times`)
  }
  return problems
}

async function judgeWrites(
  { postgres }: Fixture,
  { acknowledged, violations, unanswered }: Writers,
): Promise<string[]> {
  say(`  writes: ${acknowledged.length} acknowledged, ${unanswered()} attempts without an answer`)
  return [...violations, ...(await findDifferences(postgres.server.url, 'soak', acknowledged))]
}
