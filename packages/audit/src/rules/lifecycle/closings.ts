// What a shutdown closes, in the order in which it does: the calls of one function that end servers, stores, and what works in the background.

import type { Call, Path } from '../../facts/facts.ts'
import type { IndexedFile, Program } from '../../program/index.ts'
import { isInside, lastName } from '../queries.ts'
import { kindOfServer, type ServerKind } from './servers.ts'

/** server: takes requests. worker: takes jobs and messages. store: what both need. */
export type Closed = 'server' | 'worker' | 'store'

export interface Closing {
  readonly call: Call
  readonly closes: Closed
  /** Of servers that are known. */
  readonly kind: ServerKind | undefined
  /** What is closed, as written. */
  readonly name: string
}

const ENDS = /^(close|end|quit|disconnect|\$disconnect|destroy|dispose|aclose|stop|shutdown|wait_closed|terminate)$/
const STORE_ENDS = /^(close|end|quit|disconnect|\$disconnect|destroy|dispose|aclose)$/
const SERVER = /^(http|https|http_|https_|web|api|rest|express)?_?server$/i
const WORKER = /(worker|consumer|subscriber|scheduler|processor|cron|poller|writequeue|jobqueue|queue|listener)s?$/i
const STORE =
  /^(redis|pg|mongo|mysql|prisma|mongoose|sequelize|knex|datasource|db|database|postgres|sql|pool|engine)|(redis|redisclient|prisma|mongoose|sequelize|knex|datasource|dbpool|dbclient|database|pool|mongoclient|pgclient|engine)$/i
/** Fields that only lead to what is closed. */
const LEADING = /\.(connection|client|pool|engine)$/

/** Calls of this very function (none of its callbacks) that close something, in order. */
export function closingsOf(program: Program, path: string, file: IndexedFile, fn: number): readonly Closing[] {
  return file.facts.calls.flatMap((call) => {
    const { callee, block } = call
    if (file.functionOf(block) !== fn || !ENDS.test(lastName(callee)) || !callee.text.includes('.')) return []
    const name = callee.text.slice(0, callee.text.lastIndexOf('.'))
    const kind = kindOfServer(program, { file: path, call })
    const closes = kind === undefined ? closesByName(callee, name) : 'server'
    return closes === undefined ? [] : [{ call, closes, kind, name }]
  })
}

function closesByName(callee: Path, name: string): Closed | undefined {
  const bare = (name.replace(LEADING, '').split('.').at(-1) ?? '').replace(/^[_#]+/, '')
  if (SERVER.test(bare)) return 'server'
  if (WORKER.test(bare)) return 'worker'
  return STORE.test(bare.replaceAll('_', '')) && STORE_ENDS.test(lastName(callee)) ? 'store' : undefined
}

/** Does the second always come after the first, when both run? Not where each is in a branch of its own. */
export function comesAfter({ facts: { blocks } }: IndexedFile, first: Call, second: Call): boolean {
  if (second.line <= first.line) return false
  for (let at = first.block; at !== -1; at = blocks[at]?.parent ?? -1) {
    // Out of an `if`, a `try` or a `with` that ends before the second.
    if (isInside(blocks, second.block, at)) return isStraight(blocks, second.block, at)
    const kind = blocks[at]?.kind
    if (kind === 'function' || kind === 'handler') return false
  }
  return false
}

function isStraight(blocks: IndexedFile['facts']['blocks'], from: number, to: number): boolean {
  for (let at = from; at !== to && at !== -1; at = blocks[at]?.parent ?? -1)
    if (!['try', 'finally', 'with', 'branch'].includes(blocks[at]?.kind ?? '')) return false
  return true
}

const EXIT = /^(process\.exit|sys\.exit|os\._exit|exit)$/

/** Calls of this very function that end the process. */
export function exitsOf(file: IndexedFile, fn: number): readonly Call[] {
  return file.facts.calls.filter(({ callee, block }) => EXIT.test(callee.text) && file.functionOf(block) === fn)
}

/** Functions in which something is closed: only those are worth a look. */
export function closingFunctions(file: IndexedFile): readonly number[] {
  const found = new Set<number>()
  for (const { callee, block } of file.facts.calls)
    if (ENDS.test(lastName(callee)) && callee.text.includes('.')) found.add(file.functionOf(block))
  found.delete(-1)
  return [...found]
}
