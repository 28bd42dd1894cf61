// Credentials in clear: passwords that are compared as they were typed, and so are kept as they were typed; credentials in logs.
//   SU6. Hashes, confirmations, forms of pages, masked and shortened values, lengths and the presence of a value are silent; tokens in logs are for review.
//   QT20. The cookies of a request, and its Authorization header, are credentials too, whole as well as one by one.

import type { Call, FileFacts, Path, Value } from '../../facts/facts.ts'
import { programOf } from '../../program/index.ts'
import type { Repository } from '../../repository/repository.ts'
import { callsOf, lastName, seenAt, symbolOf } from '../queries.ts'
import type { Discovery, Rule } from '../rule.ts'
import { isSecretName } from './credentials.ts'
import { keptPasswords } from './kept-passwords.ts'
import { isAside } from './places.ts'

const LOGS =
  /^(console|log|logger|logging|_?log(ger)?|winston|pino|fastify\.log|app\.log(ger)?|current_app\.logger|request\.log|req\.log)\.(log|info|debug|warn|warning|error|trace|fatal|critical|exception|notice)$|^print$/

export const secretInClear: Rule = {
  meta: {
    id: 'secret-in-clear',
    category: 'security',
    severity: 'high',
    title: 'A credential is kept or shown in clear',
    why: 'Whoever gets a copy of the table, a backup or the logs has what their owners use elsewhere too; with a hash they would have nothing.',
    remedies: [
      {
        priority: 'P0',
        text: 'Keep a slow salted hash (argon2id, scrypt, bcrypt) and compare with its own function; keep credentials out of logs.',
        effort: 'S',
      },
    ],
    sources: ['https://cwe.mitre.org/data/definitions/256.html', 'https://cwe.mitre.org/data/definitions/532.html'],
  },
  *run(repository: Repository): Iterable<Discovery> {
    for (const { facts, call } of callsOf(programOf(repository.facts), LEVELS))
      if (!isOutside(facts)) yield* ofLog(facts, call)
    for (const facts of repository.facts.values()) {
      if (isOutside(facts)) continue
      for (const block of facts.blocks)
        if (block.test !== undefined && block.kind === 'branch' && hasComparison(block.test))
          yield comparison(facts, block.parent, block.line)
      for (const { value, block, line } of facts.exits)
        if (value !== undefined && hasComparison(value)) yield comparison(facts, block, line)
    }
    yield* keptPasswords(repository)
  },
}

const LEVELS = new Set('log info debug warn warning error trace fatal critical exception notice print'.split(' '))
const BARE = /^_*(secret|token|key|salt|pass)$/i
const PASSWORD = /^(password|passwd|pwd|pass_?word)$/i

function isOutside({ file }: FileFacts): boolean {
  return isAside(file) || /\.[jt]sx$/.test(file)
}

/** `user.password === password`: both are what was typed. */
function hasComparison(value: Value): boolean {
  if (value.kind === 'not') return hasComparison(value.value)
  if (value.kind !== 'operation') return false
  const { operator, left, right } = value
  if (!/^[!=]==?$/.test(operator)) return hasComparison(left) || hasComparison(right)
  return isPassword(left) && isPassword(right) && isKept(left, right)
}

function isPassword(value: Value): boolean {
  return value.kind === 'path' && PASSWORD.test(lastName(value.path))
}

/** One of them comes from what is stored: `user.password`; the other does not come from there. */
function isKept(left: Value, right: Value): boolean {
  const owners = [left, right].map((value) => (value.kind === 'path' ? ownerOf(value.path) : ''))
  return (
    owners[0] !== owners[1] &&
    owners.some((owner) =>
      /user|account|admin|member|customer|row|record|found|existing|doc|person|client/i.test(owner),
    )
  )
}

function ownerOf({ text, isOwn }: Path): string {
  const dot = text.lastIndexOf('.')
  return dot === -1 ? (isOwn ? 'this' : '') : text.slice(0, dot)
}

function comparison(facts: FileFacts, block: number, line: number): Discovery {
  return {
    tier: 'strong',
    symbol: symbolOf(facts, block),
    symptom: 'A copy of the table is a list of passwords.',
    rootCause: 'Passwords are stored as they were typed: what is stored is compared with what comes in.',
    evidence: [
      seenAt(facts.file, { line, endLine: line }, 'The stored password is compared with the one that was typed.'),
    ],
  }
}

function* ofLog(facts: FileFacts, call: Call): Iterable<Discovery> {
  const { callee, args, named } = call
  if (!LOGS.test(callee.text)) return
  const shown = [...args, ...named.map(([, value]) => value)].flatMap((value) => shownIn(value, 0))
  // A bare `secret` or `token` is as often the name of one.
  const [name = whole(args)] = shown.filter(
    (each) => isSecretName(each) && !(BARE.test(each) && callee.text === 'print'),
  )
  if (name === undefined) return
  yield {
    tier: /token|salt/i.test(name) || BARE.test(name) || callee.text === 'print' ? 'review' : 'strong',
    symbol: symbolOf(facts, call.block),
    cause: `credentials in the logs of ${facts.file}`,
    severity: 'medium',
    symptom: `Whoever reads the logs has ${name}.`,
    rootCause: `${name} is written to the log as it is.`,
    evidence: [seenAt(facts.file, call, `${name} is logged.`)],
  }
}

/** QT20. `req.cookies`, `request.headers.authorization`. */
function whole(args: readonly Value[]): string | undefined {
  const found = args.flatMap((value) => (value.kind === 'path' ? [value.path.text] : []))
  const text = found.find((each) =>
    /^(?:req|request|ctx|c)\.(?:req\.|request\.)?(?:cookies|headers\.(?:authorization|cookie))$/.test(each),
  )
  return text === undefined ? undefined : `the credentials of ${text}`
}

/** Names whose values are written out. */
function shownIn(value: Value, depth: number): readonly string[] {
  if (depth > 4) return []
  if (value.kind === 'path') return [lastName(value.path)]
  if (value.kind === 'template') return value.values.flatMap((each) => shownIn(each, depth + 1))
  if (value.kind === 'object') return value.entries.flatMap(([, inner]) => shownIn(inner, depth + 1))
  if (value.kind === 'operation' && /^[+%]$/.test(value.operator))
    return [...shownIn(value.left, depth + 1), ...shownIn(value.right, depth + 1)]
  return []
}
