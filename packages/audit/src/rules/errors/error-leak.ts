// Texts of exceptions that are sent to clients: of any error, in an answer that says "our fault". What is in such a text nobody chose: hosts, SQL, paths, parts of
// secrets. Silent for errors that are caught by name (their texts are meant), for answers below 500, and in development.
//   ER3. Found only where the error that a handler for any error caught, or that an error middleware was given, is in the body of an answer of 500 or above; a
//        stack trace at any status.

import type { Call, FileFacts, Value } from '../../facts/facts.ts'
import type { Repository } from '../../repository/repository.ts'
import { contentsOf } from '../contents.ts'
import { isPage } from '../places.ts'
import { catchesAny } from '../promises/rejections.ts'
import { lastName, optionOf, seenAt, symbolOf } from '../queries.ts'
import type { Discovery, Rule } from '../rule.ts'

const DEVELOPMENT = /development|debug|isDev|NODE_ENV|testing|local/i

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
    for (const facts of repository.facts.values()) {
      if (isPage(facts) && !/route\.[jt]s$/.test(facts.file)) continue
      for (const { block, name } of caught(facts)) {
        for (const call of contentsOf(facts, block).calls) {
          if (isUnderDevelopment(facts, call.block, block)) continue
          const what = leak(facts, call, name)
          if (what !== undefined) yield discovery(facts, call, what)
        }
      }
    }
  },
}

function discovery(facts: FileFacts, call: Call, what: string): Discovery {
  return {
    tier: 'strong',
    symbol: symbolOf(facts, call.block),
    cause: `texts of exceptions in answers of ${facts.file.split('/').slice(0, 2).join('/')}`,
    symptom: 'Whoever makes a request fail reads what went wrong inside.',
    rootCause: 'The handler puts the error itself into the answer.',
    evidence: [seenAt(facts.file, call, what)],
  }
}

interface Caught {
  readonly block: number
  readonly name: string
}

/** ER3: blocks in which a name is bound to any error. */
function* caught(facts: FileFacts): Iterable<Caught> {
  for (const [index, block] of facts.blocks.entries()) {
    if (block.kind === 'handler' && catchesAny(block) && block.binds !== undefined && block.binds !== '')
      yield { block: index, name: block.binds }
    const params = block.fn?.params ?? []
    const [first = '', second = ''] = params
    const isMiddleware =
      params.length === 4 && /^_?(err|error|e|ex|exc)$/.test(first) && /^_?(req|request|ctx)$/.test(second)
    if (isMiddleware) yield { block: index, name: first }
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

function isUnderDevelopment({ blocks }: FileFacts, from: number, to: number): boolean {
  for (let at = from; at > 0 && at !== to; at = blocks[at]?.parent ?? -1) {
    const test = blocks[at]?.test
    if (test !== undefined && DEVELOPMENT.test(JSON.stringify(test))) return true
  }
  return false
}

const ANSWER =
  /^(JSONResponse|HTTPException|Response|PlainTextResponse|ORJSONResponse|jsonify|HttpResponse|HttpResponseServerError|JsonResponse|abort)$/
const SENT = /^(json|send|end|jsonp|write)$/

/** What of the error is in an answer; undefined: nothing. */
function leak(facts: FileFacts, call: Call, name: string): string | undefined {
  const last = lastName(call.callee)
  const body =
    ANSWER.test(last) || (SENT.test(last) && isResponse(facts, call))
      ? [...call.args, ...call.named.map(([, value]) => value)]
      : []
  const shown = body.map((value) => shownOf(facts, value, name, 0)).find((each) => each !== undefined)
  if (shown === undefined) return undefined
  if (shown === 'stack') return 'the stack trace is in the answer'
  const status = statusOf(facts, call, last)
  return status !== undefined && status >= 500 ? `the text of the error is in an answer of ${status}` : undefined
}

function isResponse(facts: FileFacts, { callee, on }: Call): boolean {
  const before = facts.calls[on]
  const receiver = before === undefined ? callee.text : before.callee.text
  return /(^|\.)(res|response|reply|c|ctx|NextResponse|Response)\.\w+$/.test(receiver)
}

/** Undefined: it is not told, or another one. */
function statusOf(facts: FileFacts, call: Call, last: string): number | undefined {
  const before = facts.calls[call.on]
  const given = before !== undefined && /(^|\.)(status|code)$/.test(before.callee.text) ? before.args[0] : undefined
  const value = given ?? optionOf(call, 'status_code') ?? optionOf(call, 'status') ?? numberIn(call, last)
  return known(value)
}

function numberIn({ args, callee }: Call, last: string): Value | undefined {
  if (last === 'HTTPException' || last === 'abort') return args[0]
  return /^(c|ctx)\.json$/.test(callee.text) ? args[1] : undefined
}

function known(value: Value | undefined): number | undefined {
  if (value?.kind === 'number') return value.value
  const text = value?.kind === 'path' ? value.path.text : ''
  return /INTERNAL_SERVER_ERROR|InternalServerError/.test(text) ? 500 : undefined
}

/** `str(e)`, `e.message`, `e` itself in a text or an object. */
function shownOf(
  facts: FileFacts,
  value: Value,
  name: string,
  depth: number,
  isText = false,
): 'text' | 'stack' | undefined {
  if (depth > 5) return undefined
  const any = (values: readonly Value[], inText = isText): 'text' | 'stack' | undefined => {
    const found = values.map((each) => shownOf(facts, each, name, depth + 1, inText))
    return found.includes('stack') ? 'stack' : found.find((each) => each !== undefined)
  }
  switch (value.kind) {
    case 'path': {
      const { text } = value.path
      if (text === `${name}.stack`) return 'stack'
      // An Error of JavaScript that is made JSON is mostly empty; in Python, and within a text, its text is shown.
      const isShown = text === name && (facts.language === 'python' || isText)
      return text === `${name}.message` || isShown ? 'text' : undefined
    }
    case 'template':
      return any(value.values, true)
    case 'object':
      return any(value.entries.map(([, each]) => each))
    case 'list':
      return any(value.items)
    case 'operation':
      // Chosen by what the process runs as.
      return value.operator === '?:' ? undefined : any([value.left, value.right], value.operator === '+')
    case 'call': {
      const call = facts.calls[value.call]
      if (call === undefined) return undefined
      if (/(^|\.)format_exc$/.test(call.callee.text)) return 'stack'
      return /^(str|repr|String)$/.test(call.callee.text) || call.callee.text === `${name}.toString`
        ? any(call.args, true)
        : undefined
    }
    default:
      return undefined
  }
}
