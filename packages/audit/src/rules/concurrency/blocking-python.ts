// What blocks in Python, by the library that it comes from: sleeping, processes, HTTP, mail, databases, caches and clouds by their synchronous clients.
//   QW4. A client that a function of the repository makes, or keeps, and returns is the client that it made.
//   QR3. A database or a collection that a client hands out by a name in brackets, or as an attribute, is that client's.
//   QL3. What is given may make it nothing: no time to wait for, or a text where an address would be asked.

import type { Call, FileFacts, Path, Value } from '../../facts/facts.ts'
import type { BlockRef, CallSite, IndexedFile, Program } from '../../program/index.ts'
import { lastName, optionOf } from '../queries.ts'
import { bodyOf } from './flow.ts'

/** What blocks whenever it is called, by its full name. */
const BLOCKING: readonly (readonly [name: RegExp, what: string])[] = [
  [/^time\.sleep$/, 'time.sleep'],
  [/^requests\.(?:get|post|put|patch|delete|head|options|request)$/, 'an HTTP call of requests'],
  [/^urllib\.request\.(?:urlopen|urlretrieve)$/, 'urlopen'],
  [/^httpx\.(?:get|post|put|patch|delete|head|options|request|stream)$/, 'a synchronous call of httpx'],
  [/^subprocess\.(?:run|call|check_call|check_output|getoutput|getstatusoutput)$/, 'a process'],
  [/^os\.(?:system|popen|wait|waitpid)$/, 'a process'],
  [/^(?:psycopg2|psycopg|pymysql|MySQLdb|mysql\.connector|pyodbc|cx_Oracle)\.connect$/, 'a connection to a database'],
  [/^smtplib\.(?:SMTP|SMTP_SSL)$/, 'a mail server'],
  [/^bcrypt\.(?:hashpw|checkpw)$/, 'bcrypt'],
  [/^shutil\.(?:copyfileobj|copytree|make_archive|unpack_archive)$/, 'the copying of files'],
  [/^psutil\.cpu_percent$/, 'a measurement of the processor'],
  [/^feedparser\.parse$/, 'an HTTP call of feedparser'],
  [
    /^stripe\.(?:\w+\.)+(?:create|retrieve|modify|list|search|confirm|capture|cancel|delete|update)$/,
    'a call of Stripe',
  ],
]

/** Clients whose methods block: by the class that made them. */
const CLIENTS: readonly (readonly [made: RegExp, methods: RegExp, what: string])[] = [
  [
    /^redis\.(?:Redis|StrictRedis|from_url|Redis\.from_url|StrictRedis\.from_url)$/,
    /^(?!(?:pipeline|pubsub|lock|register_script|close)$)[a-z]/,
    'synchronous Redis',
  ],
  [
    /^requests\.(?:Session|session)$/,
    /^(?:get|post|put|patch|delete|head|options|request|send)$/,
    'an HTTP call of requests',
  ],
  [
    /^httpx\.Client$/,
    /^(?:get|post|put|patch|delete|head|options|request|send|stream)$/,
    'a synchronous call of httpx',
  ],
  [
    /^boto3\.(?:client|resource)$/,
    /^(?!(?:meta|exceptions|get_paginator|get_waiter|generate_presigned_\w+|Table|Bucket|Queue|Object|can_paginate)$)[a-z]\w*$/,
    'a call of boto3',
  ],
  [
    /^(?:openai\.OpenAI|openai\.AzureOpenAI|anthropic\.Anthropic|groq\.Groq|mistralai\.Mistral)$/,
    /^(?:create|parse|complete|generate|embed)$/,
    'a synchronous call of a model',
  ],
  [
    /^pymongo\.(?:MongoClient|mongo_client\.MongoClient)$/,
    /^(?:find_one|insert_one|insert_many|update_one|update_many|delete_one|delete_many|count_documents|aggregate|command|find_one_and_update|replace_one)$/,
    'synchronous MongoDB',
  ],
  [/^passlib\.context\.CryptContext$/, /^(?:hash|verify|verify_and_update)$/, 'the hash of a password'],
  [/^smtplib\.(?:SMTP|SMTP_SSL)$/, /^(?:sendmail|send_message|login|starttls)$/, 'a mail server'],
  [
    /\.control\.inspect$/,
    /^(?:active|reserved|scheduled|revoked|registered|stats|ping|active_queues|report)$/,
    'a question to all workers of Celery',
  ],
]

/** What holds up the thread there; undefined: nothing that is known. */
export function blockedBy(program: Program, file: IndexedFile, fn: number, index: number): string | undefined {
  const { facts } = file
  const call = facts.calls[index]
  if (call === undefined || call.use === 'awaited') return undefined
  const name = fullName(call.callee)
  if (name !== undefined) {
    const known = BLOCKING.find(([blocking]) => blocking.test(name))?.[1]
    if (known !== undefined) return isNothing(name, call) ? undefined : known
  }
  return clientOf(program, file, call) ?? sessionOf(program, file, fn, call, index)
}

/** QL3. `time.sleep(0)`, a measurement since the last one, a feed that is there already. */
function isNothing(name: string, call: Call): boolean {
  const [first] = call.args
  const isZero = (value: Value | undefined): boolean => value?.kind === 'number' && value.value === 0
  if (name.startsWith('psutil.')) {
    const interval = optionOf(call, 'interval') ?? first
    return interval === undefined || interval.kind === 'null' || isZero(interval)
  }
  if (name.startsWith('feedparser.'))
    return !(first?.kind === 'path' && /(?:^|[._])(?:url|uri|link|rss|feed_url|rss_url)$/i.test(first.path.text))
  return isZero(first)
}

/** `requests.get` of `import requests` and of `from requests import get`. */
function fullName({ root, text }: Path): string | undefined {
  if (!root.startsWith('import:')) return undefined
  const [module = '', name] = root.slice('import:'.length).split('#')
  const [, ...rest] = text.split('.')
  return [module, ...(name === undefined ? [] : [name]), ...rest].filter((part) => part !== '').join('.')
}

function clientOf(program: Program, file: IndexedFile, call: Call): string | undefined {
  const { callee } = call
  const method = lastName(callee)
  const candidates = CLIENTS.filter(([, methods]) => methods.test(method))
  if (candidates.length === 0 || !callee.text.includes('.') || callee.text.startsWith('()')) return undefined
  const parts = callee.text.split('.')
  for (let length = parts.length - 1; length > 0 && length > parts.length - 4; length--) {
    const path: Path = { ...callee, text: parts.slice(0, length).join('.') }
    const made = program.created(file.facts.file, path, call.block) ?? handedOutBy(program, file.facts.file, path)
    if (made === undefined) continue
    const name = fullName(made.call.callee) ?? made.call.callee.text
    const known = candidates.find(([client]) => client.test(name))?.[2]
    const handed = known === undefined ? handedBy(program, made) : undefined
    const given = handed === undefined ? '' : (fullName(handed.call.callee) ?? '')
    return known ?? candidates.find(([client]) => client.test(given))?.[2]
  }
  return undefined
}

/** QW4. What a function of the repository makes, or made before and keeps, and returns. */
function handedBy(program: Program, { file: path, call }: CallSite): CallSite | undefined {
  const target = program.target({ file: path, call })
  const own = target === undefined ? undefined : program.file(target.file)
  if (target === undefined || own === undefined || own.facts.blocks[target.block]?.fn?.isAsync === true)
    return undefined
  for (const { kind, value, block } of own.facts.exits) {
    if (kind !== 'return' || own.functionOf(block) !== target.block) continue
    const made = value?.kind === 'call' ? own.facts.calls[value.call] : undefined
    if (made !== undefined) return { file: target.file, call: made }
    const kept = value?.kind === 'path' ? program.created(target.file, value.path, block) : undefined
    if (kept !== undefined) return kept
  }
  return undefined
}

/** QR3. `db` of `db = client['shop']`, `orders` of `orders = db.orders`. */
function handedOutBy(program: Program, from: string, path: Path, hops = 0): CallSite | undefined {
  const { file = '', name = '' } = program.definition(from, path) ?? {}
  const [only, ...more] = name === '' ? [] : (program.file(file)?.writes(-1, name) ?? [])
  if (only?.value.kind !== 'path' || more.length > 0 || hops > HOPS_MAX) return undefined
  const { text } = only.value.path
  const owner: Path = { ...only.value.path, text: text.slice(0, Math.max(0, text.indexOf('.'))) }
  if (owner.text === '') return undefined
  return program.created(file, owner, only.block) ?? handedOutBy(program, file, owner, hops + 1)
}

const HOPS_MAX = 3

const SESSION = /^(?:db|session|_session|db_session|_db|database_session|sess)$/
const QUERIES = /^(?:execute|exec|scalar|scalars|commit|flush|refresh|rollback)$/
const ENDS = /^(?:first|all|one|one_or_none|scalar|count|get|delete|update|scalars|fetchone|fetchall)$/

const SYNCHRONOUS_SESSION = 'a synchronous session of SQLAlchemy'

/** A synchronous session of SQLAlchemy: what is not awaited, of a file that never awaits one. */
function sessionOf(program: Program, file: IndexedFile, fn: number, call: Call, index: number): string | undefined {
  const { facts } = file
  const { text } = call.callee
  const method = lastName(call.callee)
  const owner = text.slice(0, Math.max(0, text.length - method.length - 1))
  const name = owner.slice(owner.lastIndexOf('.') + 1)
  const isQuery = method === 'query' && call.args.length > 0 && chainEnds(facts, index)
  // `session.get(User, id)`.
  const isGet = method === 'get' && call.args.length > 1 && call.args[0]?.kind === 'path'
  if (!isQuery && !isGet && !QUERIES.test(method)) return undefined
  if (awaitsOf(file, fn, owner)) return undefined
  if (isAnnotated(program, file, fn, owner)) return SYNCHRONOUS_SESSION
  if (call.use === 'returned' || !SESSION.test(name) || !usesSqlAlchemy(facts)) return undefined
  const made = program.created(facts.file, { ...call.callee, text: owner }, call.block)
  const isSync = made !== undefined && isSynchronous(program, made.file, made.call, 0)
  // A query of the old kind exists on synchronous sessions only.
  return isSync || isQuery ? SYNCHRONOUS_SESSION : undefined
}

/** `db: Session`, of SQLAlchemy or SQLModel, or of the repository's own maker of sessions. */
function isAnnotated(program: Program, file: IndexedFile, fn: number, owner: string): boolean {
  const { params, types } = file.facts.blocks[fn]?.fn ?? {}
  const type = types?.[params?.indexOf(owner) ?? -1] ?? undefined
  if (type === undefined) return false
  if (/^(?:sqlalchemy\.orm|sqlmodel)(?:\.\w+)*\.(?:Session|scoped_session)$/.test(fullName(type) ?? '')) return true
  const made = program.created(file.facts.file, type, fn)
  if (made !== undefined) return isSynchronous(program, made.file, made.call, 0)
  const { file: path = '', name = '' } = program.definition(file.facts.file, type) ?? {}
  const block = program.file(path)?.functions.get(name)
  return block !== undefined && handsOut(program, { file: path, block }, 0)
}

/** A function that makes a synchronous session, for a dependency or a `with`. */
function handsOut(program: Program, target: BlockRef, depth: number): boolean {
  const file = program.file(target.file)
  if (file === undefined || file.facts.blocks[target.block]?.fn?.isAsync === true) return false
  return bodyOf(file, target.block).calls.some((at) =>
    isSynchronous(program, target.file, file.facts.calls[at] as Call, depth + 1),
  )
}

function chainEnds({ calls }: FileFacts, from: number): boolean {
  let at = from
  for (let next = index(calls, at); next !== -1; next = index(calls, at)) {
    if (calls[next]?.use === 'awaited') return false
    if (ENDS.test(lastName((calls[next] as Call).callee))) return true
    at = next
  }
  return false
}

function index(calls: readonly Call[], on: number): number {
  for (let at = on + 1; at < calls.length && at < on + 60; at++) if (calls[at]?.on === on) return at
  return -1
}

function usesSqlAlchemy({ imports }: FileFacts): boolean {
  const modules = imports.map(({ module, imported }) => `${module}.${imported}`)
  return (
    modules.some((name) => /^(?:sqlalchemy|sqlmodel|flask_sqlalchemy)\b/.test(name)) &&
    !modules.some((name) => /\.asyncio|AsyncSession|async_sessionmaker/.test(name))
  )
}

/** Somewhere in the function the same session is awaited: it is asynchronous. */
function awaitsOf(file: IndexedFile, fn: number, owner: string): boolean {
  return bodyOf(file, fn).calls.some((at) => {
    const call = file.facts.calls[at]
    return call?.use === 'awaited' && call.callee.text.startsWith(`${owner}.`)
  })
}

/** `SessionLocal()` of `sessionmaker(bind=create_engine(…))`; `Depends(get_db)` of a function that hands one out. */
function isSynchronous(program: Program, path: string, call: Call, depth: number): boolean {
  if (depth > 3) return false
  const name = fullName(call.callee) ?? call.callee.text
  if (/(?:^|\.)(?:sessionmaker|scoped_session)$/.test(name)) {
    const made = optionOf(call, 'class_')
    return !/asyncio|async_/.test(name) && !(made?.kind === 'path' && /Async/.test(made.path.text))
  }
  if (/^(?:sqlalchemy\.orm|sqlmodel)\.(?:Session)$/.test(name)) return true
  const file = program.file(path)
  if (file === undefined) return false
  if (/(?:^|\.)Depends$/.test(name)) {
    const [given] = call.args
    if (given?.kind !== 'path') return false
    const target = program.target({ file: path, call: { ...call, callee: given.path } })
    return target !== undefined && handsOut(program, target, depth)
  }
  const [given] = call.args
  const inner = call.callee.text === 'next' && given?.kind === 'call' ? file.facts.calls[given.call] : undefined
  if (inner !== undefined) return isSynchronous(program, path, inner, depth + 1)
  const made = program.created(path, call.callee, call.block)
  if (made !== undefined) return made.call !== call && isSynchronous(program, made.file, made.call, depth + 1)
  const target = program.target({ file: path, call })
  return target !== undefined && handsOut(program, target, depth)
}
