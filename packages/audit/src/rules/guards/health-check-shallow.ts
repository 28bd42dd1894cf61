// Checks of health that can't fail, though what they speak for can: a constant answer, presence of an object taken for its health, a function of health that
// returns true whatever happens.
//   HH1. A route is found only where nothing in it can make it say no, and its program calls others, or has what they are called with; strong where
//        configuration decides by it.
//   QM15. A store that the program loads a driver of, or that its deployment names for it, is something it speaks for: those are for review. What a part of it asks
//         for itself answers for that part only.
//   HH2. An object's presence is found only where a word of health is given for it in a check of health, and nothing asks the object itself.
//   HH3. A function is found only where it is named for a check of health, does nothing else than return true, and is called by others.
//   QT17. A dependency in the file of the check is told in the words of the check: another place there would look like a second fault.

import type { Assignment, Import, Value } from '../../facts/facts.ts'
import { type IndexedFile, type Program, programOf } from '../../program/index.ts'
import type { Repository } from '../../repository/repository.ts'
import { outboundOf } from '../../system/outbound.ts'
import { contentsOf } from '../contents.ts'
import { GUARANTEES } from '../guarantees.ts'
import { isByHand } from '../places.ts'
import { seenAt, symbolOf } from '../queries.ts'
import type { Discovery, Rule } from '../rule.ts'
import { servicesOf } from './deployed.ts'
import { type HealthRoute, healthRoutesOf, isConstant, isMain, probed, probeOf } from './health.ts'
import { reachOf } from './reach.ts'

export const healthCheckShallow: Rule = {
  meta: {
    id: 'health-check-shallow',
    category: 'guards',
    severity: 'medium',
    title: 'A check of health that can not fail',
    why: 'Orchestrators, load balancers and people decide by it. While what the component depends on is down, it is still given traffic, its dependants are started, and nobody is told.',
    remedies: [
      {
        priority: 'P1',
        text: 'Let readiness ask each dependency that requests can not do without, with a deadline, and answer 503 when one does not answer; keep liveness constant.',
        effort: 'S',
        guarantee: GUARANTEES.health,
      },
    ],
    sources: [
      'Kubernetes: configure liveness, readiness and startup probes',
      'RFC draft-inadarei-api-health-check: health check response format for HTTP APIs',
    ],
  },
  *run(repository: Repository): Iterable<Discovery> {
    const program = programOf(repository.facts)
    const routes = healthRoutesOf(repository)
    for (const route of routes) {
      const found = constantRoute(repository, program, route, routes)
      if (found !== undefined) yield found
      yield* presences(route)
      yield* incomplete(repository, route)
    }
    yield* constantFunctions(program)
  },
}

/** HH1. */
function constantRoute(
  repository: Repository,
  program: Program,
  route: HealthRoute,
  routes: readonly HealthRoute[],
): Discovery | undefined {
  if (!isMain(route) || !isConstant(program, route.handler)) return undefined
  const reach = reachOf(repository, route.path)
  const { calls, clients } = outboundOf(repository)
  const called = [...calls, ...clients].find(({ site }) => reach.has(site.file))
  const driver = called === undefined ? driverIn(repository, reach) : undefined
  const declared = called === undefined ? declaredNeed(repository, route.path) : undefined
  const probe = probeOf(repository, route)
  const isDecisive = probe !== undefined || route.kind === 'ready'
  // Constant health beside a readiness that asks is as it should be.
  const isAnswered = routes.some(
    (other) => other !== route && isMain(other) && reach.has(other.path) && !isConstant(program, other.handler),
  )
  if (isAnswered && route.kind === 'health' && probe?.isReadiness !== true) return undefined
  if (called === undefined && driver === undefined && declared === undefined) return undefined
  // QT17.
  const isBeside = called?.site.file === route.entry.site.file
  const what = isBeside
    ? `nothing in it can say no: the dependency of line ${called.site.call.line} is not asked`
    : 'nothing in it can say no'
  const evidence = [seenAt(route.entry.site.file, route.entry.site.call, what)]
  if (called !== undefined && !isBeside)
    evidence.push(seenAt(called.site.file, called.site.call, 'what it does not ask for: a dependency'))
  if (driver !== undefined)
    evidence.push(
      seenAt(driver.file, { line: driver.line, endLine: driver.line }, `what it does not ask for: ${driver.module}`),
    )
  const need =
    called === undefined
      ? `${declared ?? `what ${driver?.module} speaks to`} is down`
      : `calls of ${called.library} fail`
  return {
    tier: called !== undefined && isDecisive ? 'strong' : 'review',
    evidence: [...evidence, ...probed(probe)],
    cause: `constant health of ${route.path}`,
    symbol: route.entry.name,
    symptom: `${route.address} says that all is well while ${need}; traffic and dependants are let in.`,
    rootCause: `The handler of ${route.entry.name} has no branch, no call and no failure in it.`,
  }
}

const DRIVER =
  /^(?:mongoose|mongodb|pg|mysql2?|ioredis|redis|typeorm|sequelize|@prisma\/client|knex|amqplib|kafkajs|bullmq?|psycopg2?|asyncpg|aiomysql|pymysql|pymongo|motor|sqlmodel|sqlalchemy|aioredis|pika|aio_pika|aiokafka|celery)(?=$|[./])/

/** QM15. */
function driverIn({ facts }: Repository, reach: ReadonlySet<string>): (Import & { readonly file: string }) | undefined {
  for (const file of reach) {
    const found = facts.get(file)?.imports.find(({ module, isTypeOnly }) => !isTypeOnly && DRIVER.test(module))
    if (found !== undefined) return { ...found, file }
  }
  return undefined
}

/** Another service that its deployment names in its environment or waits for, where the code shows nothing. */
function declaredNeed(repository: Repository, path: string): string | undefined {
  for (const { project, service } of servicesOf(repository, path))
    for (const name of project.services.keys()) {
      const isNamed = [...service.environment.values()].some(
        ({ value }) => value.includes(`//${name}:`) || value.includes(`@${name}:`),
      )
      if (name !== service.name && (isNamed || service.dependsOn.has(name))) return name
    }
  return undefined
}

const WELL = /^(?:healthy|ok|up|connected|available|operational|running|ready|pass|green|good)$/i
const PART =
  /client|redis|pool|database|\bdb\b|_db|engine|conn|store|bus|producer|consumer|broker|queue|session|cache|kafka|rabbit|mongo|postgres/i
/** What a driver keeps up to date is more than presence. */
const STATE =
  /connected|ready|healthy|alive|open|status|state|available|enabled|configured|initiali[sz]ed|count|length|size|running|is_/i

/** HH2. */
function* presences(route: HealthRoute): Iterable<Discovery> {
  const { file, path, contents, entry } = route
  for (const assignment of contents.assignments) {
    if (!saysWell(assignment)) continue
    const branch = file.facts.blocks[assignment.block]
    if (branch?.kind !== 'branch' || branch.test === undefined) continue
    const part = presenceOf(file, branch.test)
    const asks = contents.calls.some(
      ({ block, callee }) => file.within(block, assignment.block) && !/log|print|console|time|date/i.test(callee.text),
    )
    if (part === undefined || asks) continue
    yield {
      tier: isMain(route) ? 'strong' : 'review',
      evidence: [
        seenAt(path, assignment, `${part} is called healthy`),
        seenAt(path, { line: branch.line, endLine: branch.line }, `because ${part} is there`),
      ],
      cause: `presence in ${entry.name} of ${path}`,
      symbol: symbolOf(file.facts, assignment.block),
      symptom: `${part} is reported as healthy for as long as the process lives, also while it does not answer.`,
      rootCause: `That ${part} was created is taken for its health; nothing is asked of it.`,
    }
  }
}

function saysWell({ value }: Assignment): boolean {
  if (value.kind === 'string') return WELL.test(value.value)
  return (
    value.kind === 'object' &&
    value.entries.some(([key, inner]) => key === 'status' && inner.kind === 'string' && WELL.test(inner.value))
  )
}

/** `redis` of `hasattr(state, 'redis')`, `if redis_client`, `if (client !== null)`. */
function presenceOf(file: IndexedFile, test: Value): string | undefined {
  if (test.kind === 'call') {
    const call = file.facts.calls[test.call]
    const [, name] = call?.args ?? []
    return call?.callee.text === 'hasattr' && name?.kind === 'string' && PART.test(name.value) ? name.value : undefined
  }
  if (test.kind === 'operation' && /^(?:!==?|is not)$/.test(test.operator) && test.right.kind === 'null')
    return presenceOf(file, test.left)
  if (test.kind !== 'path') return undefined
  const name = test.path.text.slice(test.path.text.lastIndexOf('.') + 1)
  return PART.test(name) && !STATE.test(name) ? name : undefined
}

function isDatabase({ kind, library }: { readonly kind: string; readonly library: string }): boolean {
  return (
    /^(?:postgres|mysql|mongodb)$/.test(kind) || /^(?:sqlalchemy|prisma|typeorm|sequelize|knex|drizzle)/.test(library)
  )
}

/** Of a session that was made in the handler, which no client is known for. */
const STATEMENT = /(?:^|\.)(?:execute|query|fetchval|fetch_one|fetchone|\$queryRaw(?:Unsafe)?)$/

/** A readiness that asks something, and leaves out the database. */
function* incomplete(
  repository: Repository,
  { kind, path, handler, entry, contents, file }: HealthRoute,
): Iterable<Discovery> {
  if (kind !== 'ready') return
  const { calls, clients } = outboundOf(repository)
  const asked = calls.filter(({ site }) => site.file === path && contents.calls.includes(site.call))
  // What it hands on to others may ask for anything.
  const program = programOf(repository.facts)
  const handsOn = contents.calls.some((call) => program.target({ file: path, call }) !== undefined)
  const isCache =
    asked.length > 0
      ? asked.every((each) => each.kind === 'redis')
      : contents.calls.some(({ callee }) => /redis\w*\.ping$/i.test(callee.text))
  if (handsOn || !isCache || contents.calls.some(({ callee }) => STATEMENT.test(callee.text))) return
  const reach = reachOf(repository, path)
  const database = [...calls, ...clients].find((each) => isDatabase(each) && reach.has(each.site.file))
  const block = file.facts.blocks[handler.block]
  if (database === undefined || block === undefined) return
  yield {
    tier: 'review',
    evidence: [
      seenAt(path, block, 'asks only Redis'),
      seenAt(database.site.file, database.site.call, `${database.library} is used here`),
    ],
    symbol: entry.name,
    title: 'Readiness that leaves out the database',
    symptom: `While the database is down the component says that it is ready, and every request that needs it fails.`,
    rootCause: `${entry.name} asks Redis and nothing else.`,
  }
}

const CHECKS =
  /^[_#]*(?:(?:check|verify|test|is|run|perform|do)_?(?:\w*_?)?(?:health|healthy|alive|connection|connected|ready|liveness|readiness)|ping(?:_?\w+)?|health_?check|is_?healthy)$/i
const DOUBLE = /mock|fake|stub|dummy|noop|no_op|null|base|abstract|interface|memory|local|test|example|demo|sample/i

/** HH3. */
function* constantFunctions(program: Program): Iterable<Discovery> {
  for (const path of program.files) {
    const file = program.file(path)
    if (file === undefined || isByHand(path) || DOUBLE.test(path.slice(path.lastIndexOf('/') + 1))) continue
    for (const [block, { kind, name, parent, fn, line }] of file.facts.blocks.entries()) {
      if (kind !== 'function' || !CHECKS.test(name) || fn === undefined || fn.decorators.length > 0) continue
      const { calls, exits, blocks } = contentsOf(file.facts, block)
      const [exit] = exits
      const owner = file.facts.blocks[file.classOf(parent)]
      if (blocks.length > 1 || exits.length !== 1 || exit?.kind !== 'return') continue
      if (exit.value?.kind !== 'boolean' || !exit.value.value || (owner !== undefined && isBase(file, owner.name)))
        continue
      if (calls.some(({ callee }) => !/log|print|console|sleep|delay/i.test(callee.text))) continue
      if (isExplained(file, block) || program.callers({ file: path, block }).length === 0) continue
      yield {
        tier: 'strong',
        evidence: [
          seenAt(path, exit, 'true, whatever happens'),
          seenAt(path, { line, endLine: line }, 'a check of health'),
        ],
        symbol: symbolOf(file.facts, block),
        symptom: `${name} never finds anything wrong: what is broken is taken for healthy and not replaced.`,
        rootCause: `${name} returns true without asking anybody.`,
      }
    }
  }
}

/** Somebody says why nothing can be wrong. */
function isExplained({ facts }: IndexedFile, block: number): boolean {
  const { line = 0, endLine = 0 } = facts.blocks[block] ?? {}
  return facts.comments.some(
    (each) =>
      each.line >= line - 1 &&
      each.line <= endLine &&
      /\b(?:since|because|always|by design|intentional|not needed|no need|deprecated)\b/i.test(each.text),
  )
}

/** A class that others are made from gives a default that they override. */
function isBase(file: IndexedFile, name: string): boolean {
  return DOUBLE.test(name) || file.facts.classes.some(({ bases }) => bases.includes(name))
}
