// Programs that need a dependency at the moment they start, try once, and are not started again when they fail.
// The line is that of the call at start.
//   LF5. A try around it, a loop or a retry on the way, a service that compose restarts, and a program that no compose service runs are silent; where compose waits
//        for the dependency's health it is for review.
//   QM16. What the application does when it is told to start counts as its start, before the yield of a lifespan; a file of SQLite is always there.

import type { Call } from '../../facts/facts.ts'
import { type IndexedFile, type Program, programOf } from '../../program/index.ts'
import type { ComposeProject, ComposeService } from '../../repository/configuration.ts'
import { isBelow, resolveFrom } from '../../repository/paths.ts'
import type { Repository } from '../../repository/repository.ts'
import { entriesOf } from '../../system/entries.ts'
import { outboundOf } from '../../system/outbound.ts'
import { contextOf, copied, dockerfileOf, instructionsOf } from '../configuration/builds.ts'
import { standingServices } from '../configuration/projects.ts'
import { GUARANTEES } from '../guarantees.ts'
import { enclosing, seenAt } from '../queries.ts'
import type { Discovery, Rule } from '../rule.ts'

/** Calls of drivers that reach their server at once, whatever library they are known by. */
const REACHES =
  /(^|\.)(metadata\.create_all|create_all|\$connect|authenticate|ensureIndexes|createIndexes)$|^(mongoose|psycopg2?|pymysql|pika|MySQLdb|asyncpg|amqp|amqplib)\.(connect|BlockingConnection|createConnection)$/
const RETRYING = /retry|backoff|wait_?for|attempt/i
const HOPS_MAX = 2

export const fatalOnStart: Rule = {
  meta: {
    id: 'fatal-on-start',
    category: 'lifecycle',
    severity: 'high',
    title: 'A program that fails to start stays down',
    why: 'Its dependency is a few seconds late once, after a reboot or an upgrade; the program ends with an error, and nothing starts it again.',
    remedies: [
      {
        priority: 'P1',
        text: 'Try again with growing pauses until the dependency answers, and give the service a restart policy.',
        effort: 'S',
        guarantee: GUARANTEES.reconnect,
      },
    ],
    sources: ['https://docs.docker.com/reference/compose-file/services/#restart'],
  },
  *run(repository: Repository): Iterable<Discovery> {
    const program = programOf(repository.facts)
    const services = standingServices(repository).filter(({ service }) => isLeftDown(service))
    for (const { project, service } of services) {
      const sources = sourcesOf(repository, service)
      for (const path of sources) {
        const file = program.file(path)
        const call = file === undefined ? undefined : startCall(repository, program, path, file)
        if (call === undefined) continue
        yield discovery(project, service, path, call)
        break
      }
    }
  },
}

function isLeftDown({ restart }: ComposeService): boolean {
  return restart === undefined || restart.value === 'no' || restart.value === 'none'
}

/** Sources that its image contains, or that are mounted over what it contains. */
function sourcesOf(repository: Repository, service: ComposeService): readonly string[] {
  const context = contextOf(repository, service.build)
  const dockerfile = dockerfileOf(repository, service)
  if (context === undefined || dockerfile === undefined) return []
  const inside = [
    ...copied(repository, instructionsOf(dockerfile.stages), context, service.build?.args).flatMap(
      ({ paths }) => paths,
    ),
    ...mounted(repository, service),
  ]
  return [...repository.facts.keys()].filter(
    (path) => inside.some((folder) => isBelow(path, folder)) && isServer(repository, path),
  )
}

function mounted({ files }: Repository, { volumes }: ComposeService): readonly string[] {
  return volumes.flatMap(({ source, isBind, loc }) => {
    const target = isBind && source !== undefined ? resolveFrom(loc.file, source) : 'outside'
    return typeof target === 'string' || target.path === '' || !files.has(target.path) ? [] : [target.path]
  })
}

/** It makes an application: what is at its top runs when the server starts. */
function isServer({ facts }: Repository, path: string): boolean {
  return (
    facts
      .get(path)
      ?.calls.some(
        ({ callee, block }) =>
          (block === 0 || /^(create|make|build|get)_?app/i.test(facts.get(path)?.blocks[block]?.name ?? '')) &&
          /^(FastAPI|Flask|express|fastify|Fastify|Starlette|Quart|Sanic|Koa)$/.test(callee.text),
      ) === true
  )
}

/** A call of the module itself, or of what runs as the application starts, not tried, that reaches out at once. */
function startCall(repository: Repository, program: Program, path: string, file: IndexedFile): Call | undefined {
  const { calls, language } = file.facts
  const starts = startsOf(repository, path)
  return calls.find(
    (call) =>
      (call.block === 0 || isAtStart(file, call, starts)) &&
      !(language !== 'python' && call.use !== 'awaited') &&
      reaches(repository, program, path, call, HOPS_MAX),
  )
}

/** QM16. */
function startsOf(repository: Repository, path: string): ReadonlySet<number> {
  return new Set(
    entriesOf(repository).flatMap(({ kind, handler }) =>
      kind === 'startup' && handler?.file === path && path.endsWith('.py') ? [handler.block] : [],
    ),
  )
}

function isAtStart({ facts, functionOf }: IndexedFile, call: Call, starts: ReadonlySet<number>): boolean {
  const fn = functionOf(call.block)
  if (!starts.has(fn)) return false
  const isTried = enclosing(facts, call.block, ['try', 'loop', 'handler', 'branch', 'otherwise']) !== -1
  const yields = facts.exits.filter((exit) => exit.kind === 'yield' && functionOf(exit.block) === fn)
  return !isTried && yields.every(({ line }) => call.line < line)
}

function reaches(repository: Repository, program: Program, path: string, call: Call, hops: number): boolean {
  if (RETRYING.test(call.callee.text)) return false
  if (isOutward(repository, path, call)) return true
  const target = hops === 0 ? undefined : program.target({ file: path, call })
  const file = target === undefined ? undefined : program.file(target.file)
  const fn = target === undefined ? undefined : file?.facts.blocks[target.block]
  if (target === undefined || file === undefined || fn?.fn === undefined || fn.fn.isGenerator) return false
  if (fn.fn.decorators.some(({ callee }) => RETRYING.test(callee.text))) return false
  return file.facts.calls.some(
    (inner) =>
      file.functionOf(inner.block) === target.block &&
      enclosing(file.facts, inner.block, ['try', 'loop', 'handler', 'branch', 'otherwise']) === -1 &&
      reaches(repository, program, target.file, inner, hops - 1),
  )
}

function isOutward(repository: Repository, path: string, call: Call): boolean {
  if (REACHES.test(call.callee.text)) return !/\bsqlite[+\w]*:\/\//i.test(repository.files.read(path) ?? '')
  const outbound = outboundOf(repository).at({ file: path, call })
  return outbound !== undefined && outbound.client?.site.call !== call
}

function discovery(project: ComposeProject, service: ComposeService, path: string, call: Call): Discovery {
  const isAwaited = [...service.dependsOn.values()].some(({ value }) => value === 'service_healthy')
  return {
    tier: isAwaited ? 'review' : 'strong',
    symbol: service.name,
    component: service.name,
    symptom: `${service.name} stays down when what it needs was not there at the moment of its start.`,
    rootCause: `The call is made once as it starts, and ${service.name} has no restart policy.`,
    evidence: [
      seenAt(path, call, 'It needs its dependency as it starts, and tries once.'),
      { provenance: 'config', loc: service.loc, what: `${service.name} is not restarted (${project.file}).` },
    ],
  }
}
