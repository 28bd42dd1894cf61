// Texts of exceptions that are sent to clients: of any error, in an answer that says "our fault". What is in such a text nobody chose: hosts, SQL, paths, parts of
// secrets. Silent for errors that are caught by name (their texts are meant), for answers below 500, and in development.
//   ER3. Found only where the error that a handler for any error caught, or that an error middleware was given, is in the body of an answer of 500 or above; a
//        stack trace at any status.
//   QL10. The handler that Django's REST framework is given gets any error, and is found where it does not ask for its kind.
//   QL14. Errors of drivers and of the network are caught by name, and still nobody chose their texts: found at 500 and above like any other.
//   QR13. A deadline of a client counts as its network does.
//   QL15. What runs only where it is no production is development, in whichever branch it stands.
//   QJ16. What `.catch` is given is such a handler.
//   QT10. So is a callback that is given the error first, as the drivers of Node do.

import type { Block, Call, FileFacts, Value } from '../../facts/facts.ts'
import type { Repository } from '../../repository/repository.ts'
import { isPage } from '../places.ts'
import { catchesAny } from '../promises/rejections.ts'
import { seenAt, symbolOf } from '../queries.ts'
import type { Discovery, Rule } from '../rule.ts'
import { answeredIn, answeringOf } from './answered.ts'
import { type Leak, leaksIn } from './leaks.ts'

const DEVELOPMENT = /development|debug|isDev|NODE_ENV|testing|local/i
const PRODUCTION = /production|is_?prod|"prod"/i

export const errorLeak: Rule = {
  meta: {
    id: 'error-leak',
    category: 'security',
    severity: 'low',
    title: 'Texts of exceptions are sent to clients',
    why: 'The text of an unexpected error was written for people who know the system: it names hosts, tables, paths and sometimes credentials. Clients start to depend on it as well.',
    remedies: [
      {
        priority: 'P2',
        text: 'Answer with a code and an id that is also in the log; keep the text there.',
        effort: 'S',
      },
    ],
    sources: ['CWE-209: generation of error message containing sensitive information', 'OWASP API8:2023'],
  },
  *run(repository: Repository): Iterable<Discovery> {
    const answering = answeringOf(repository)
    for (const facts of repository.facts.values()) {
      if (isPage(facts) && !/route\.[jt]s$/.test(facts.file)) continue
      for (const { block, name } of caught(facts)) {
        const told = [...leaksIn(facts, block, name)]
        const others = [...answeredIn(answering, facts, block, name)].filter(
          ({ line }) => !told.some((leak) => leak.line <= line && line <= leak.endLine),
        )
        for (const leak of [...told, ...others])
          if (!isUnderDevelopment(facts, leak.block, block) && !isOfKind(facts, leak.block, block, name))
            yield discovery(facts, leak)
      }
    }
  },
}

function discovery(facts: FileFacts, leak: Leak): Discovery {
  return {
    tier: 'strong',
    symbol: symbolOf(facts, leak.block),
    cause: `texts of exceptions in answers of ${facts.file.split('/').slice(0, 2).join('/')}`,
    symptom: 'Whoever makes a request fail reads what went wrong inside.',
    rootCause: 'The handler puts the error itself into the answer.',
    evidence: [seenAt(facts.file, leak, leak.what)],
  }
}

interface Caught {
  readonly block: number
  readonly name: string
}

/** ER3: blocks in which a name is bound to any error. */
function* caught(facts: FileFacts): Iterable<Caught> {
  const caughtBy = new Set(facts.calls.flatMap((call) => [...handedToCatch(call), ...handedErrors(facts, call)]))
  for (const [index, block] of facts.blocks.entries()) {
    if (
      block.kind === 'handler' &&
      (catchesAny(block) || isOfDrivers(block)) &&
      block.binds !== undefined &&
      block.binds !== ''
    )
      yield { block: index, name: block.binds }
    const params = block.fn?.params ?? []
    const [first = '', second = ''] = params
    const isMiddleware =
      params.length === 4 && /^_?(err|error|e|ex|exc)$/.test(first) && /^_?(req|request|ctx)$/.test(second)
    if (isMiddleware) yield { block: index, name: first }
    if (caughtBy.has(index) && /^_?(err|error|e|ex|exc|reason)$/.test(first)) yield { block: index, name: first }
    // QL10. Of Django's REST framework: given every error that a view let go.
    const [given = '', context = ''] = params
    if (params.length === 2 && context === 'context' && /^(e|ex|exc|err|error|exception)$/.test(given))
      yield { block: index, name: given }
    const isHandler = block.fn?.decorators.some(
      ({ callee, args: [type] }) =>
        /\.(exception_handler|errorhandler|error_handler)$/.test(callee.text) &&
        type?.kind === 'path' &&
        type.path.text === 'Exception',
    )
    const error = params.find((name) => /^(e|ex|exc|err|error|exception)$/.test(name))
    if (isHandler === true && error !== undefined) yield { block: index, name: error }
  }
}

/** QJ16. `work().catch((error) => …)`. */
function handedToCatch({ callee, args: [handler] }: Call): readonly number[] {
  return /(^|\.)catch$/.test(callee.text) && handler?.kind === 'function' ? [handler.block] : []
}

/** QT10. `db.query(sql, (error, rows) => …)`: the last argument, with more than the error. */
function handedErrors({ blocks }: FileFacts, { args }: Call): readonly number[] {
  const last = args.at(-1)
  const params = last?.kind === 'function' ? (blocks[last.block]?.fn?.params ?? []) : []
  return last?.kind === 'function' && args.length > 1 && params.length === 2 ? [last.block] : []
}

/** QL14. */
const OF_DRIVERS =
  /^(?:SQLAlchemyError|DBAPIError|DatabaseError|OperationalError|ProgrammingError|IntegrityError|InterfaceError|PostgresError|(?:psycopg2?|psycopg2\.\w+|sqlite3|pymysql|mysql\.connector)\.Error|MySQLError|PyMongoError|ServerSelectionTimeoutError|RedisError|RequestException|httpx\.HTTPError|TransportError|TimeoutException|aiohttp\.ClientError|RequestError|ConnectError|ConnectionError|SSLError|ClientConnectorError|AMQP\w*Error|Kafka(?:Error|Exception)|BotoCoreError)$/

function isOfDrivers({ name }: Block): boolean {
  return name !== '' && name.split('|').every(isDriver)
}

function isDriver(kind: string): boolean {
  return OF_DRIVERS.test(kind) || OF_DRIVERS.test(kind.slice(kind.lastIndexOf('.') + 1))
}

function isUnderDevelopment({ blocks }: FileFacts, from: number, to: number): boolean {
  for (let at = from; at > 0 && at !== to; at = blocks[at]?.parent ?? -1) {
    const { test, kind, of = -1 } = blocks[at] ?? {}
    if (test !== undefined && (DEVELOPMENT.test(JSON.stringify(test)) || saysNot(test))) return true
    const before = kind === 'otherwise' ? blocks[of]?.test : undefined
    if (before !== undefined && PRODUCTION.test(JSON.stringify(before)) && !saysNot(before)) return true
  }
  return false
}

/** QL15. `environment != 'production'`, `not is_production`. */
function saysNot(test: Value): boolean {
  const isNegative = test.kind === 'not' || (test.kind === 'operation' && /^!==?$/.test(test.operator))
  return isNegative && PRODUCTION.test(JSON.stringify(test))
}

/** Only for errors of a kind that is asked for, of which the texts may be meant. */
function isOfKind({ blocks, calls }: FileFacts, from: number, to: number, name: string): boolean {
  for (let at = from; at > 0 && at !== to; at = blocks[at]?.parent ?? -1) {
    const { test, kind } = blocks[at] ?? {}
    const call = kind === 'branch' && test?.kind === 'call' ? calls[test.call] : undefined
    const [given, asked] = call?.args ?? []
    if (call?.callee.text !== 'isinstance' || given?.kind !== 'path' || given.path.text !== name) continue
    const kinds = asked?.kind === 'list' ? asked.items : [asked]
    if (!kinds.some((each) => each?.kind === 'path' && isDriver(each.path.text))) return true
  }
  return false
}
