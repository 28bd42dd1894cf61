// What of an error stands in the answers of the handler that caught it.
//   QL9. A text that a function of the program makes the body from counts as well; the error itself does not, which that function may look at.
//   QL16. An answer of Flask may be a body with its status beside it. gRPC's INTERNAL is a 500.
//   QJ17. A name that holds the text, and a status that falls back to 500, count like what they hold.

import type { Assignment, Call, FileFacts, Value } from '../../facts/facts.ts'
import { contentsOf } from '../contents.ts'
import { lastName, optionOf } from '../queries.ts'

const ANSWER =
  /^(JSONResponse|HTTPException|Response|PlainTextResponse|ORJSONResponse|jsonify|make_response|json_response|HttpResponse|HttpResponseServerError|HTTPInternalServerError|JsonResponse|abort|set_details)$/
const SENT = /^(json|send|end|jsonp|write)$/

/** What only puts it into the form of an answer. */
const SHAPING = /^(?:\w*[eE]rror(?:Response|Body|Payload)|fail(?:ure)?|failed|(?:create|build|make|format)Error\w*)$/

export interface Leak {
  readonly line: number
  readonly endLine: number
  readonly block: number
  readonly what: string
}

/** Makes an answer, by its name. */
export function isAnswer({ callee }: Call): boolean {
  return ANSWER.test(lastName(callee))
}

/** Whether the text of the error stands in a value, also by a name of the handler that caught it. */
export function showsText(facts: FileFacts, value: Value, handler: number, name: string): boolean {
  const about: About = { name, given: contentsOf(facts, handler).assignments }
  return shownOf(facts, withGiven(value, about.given), about, 0) === 'text'
}

interface About {
  readonly name: string
  /** What names of the handler were given. */
  readonly given: readonly Assignment[]
}

/** Of the error of that name, in the handler that caught it. */
export function* leaksIn(facts: FileFacts, handler: number, name: string): Iterable<Leak> {
  const { calls, exits, assignments } = contentsOf(facts, handler)
  const about: About = { name, given: assignments }
  for (const call of calls) {
    const what = leak(facts, call, about)
    if (what !== undefined) yield { line: call.line, endLine: call.endLine, block: call.block, what }
  }
  for (const exit of exits) {
    const what =
      exit.kind === 'return' && exit.value?.kind === 'list' ? tupleLeak(facts, exit.value.items, about) : undefined
    if (what !== undefined) yield { line: exit.line, endLine: exit.endLine, block: exit.block, what }
  }
}

/** QL16. */
function tupleLeak(facts: FileFacts, [body, second]: readonly Value[], about: About): string | undefined {
  const status = known(second)
  if (facts.language !== 'python' || body === undefined || status === undefined || status < 500) return undefined
  return shownOf(facts, body, about, 0) === 'text' ? textIn(status) : undefined
}

function textIn(status: number): string {
  return `the text of the error is in an answer of ${status}`
}

/** What of the error is in an answer; undefined: nothing. */
function leak(facts: FileFacts, call: Call, about: About): string | undefined {
  const last = lastName(call.callee)
  const body =
    ANSWER.test(last) || (SENT.test(last) && isResponse(facts, call))
      ? [...call.args, ...call.named.map(([, value]) => value)]
      : []
  const values = body.map((value) => withGiven(value, about.given))
  const shown = values.map((value) => shownOf(facts, value, about, 0)).find((each) => each !== undefined)
  if (shown === undefined) return undefined
  if (shown === 'stack') return 'the stack trace is in the answer'
  const status = statusOf(facts, call, last, about.given)
  return status !== undefined && status >= 500 ? textIn(status) : undefined
}

function isResponse(facts: FileFacts, { callee, on }: Call): boolean {
  const before = facts.calls[on]
  const receiver = before === undefined ? callee.text : before.callee.text
  return /(^|\.)(res|response|reply|c|ctx|NextResponse|Response)\.\w+$/.test(receiver)
}

/** Undefined: it is not told, or another one. */
function statusOf(facts: FileFacts, call: Call, last: string, assigned: readonly Assignment[]): number | undefined {
  if (/ServerError$/.test(last)) return 500
  const before = facts.calls[call.on]
  const given = before !== undefined && /(^|\.)(status|code)$/.test(before.callee.text) ? before.args[0] : undefined
  const value =
    given ??
    optionOf(call, 'status_code') ??
    optionOf(call, 'status') ??
    (last === 'set_details' ? codeBeside(facts, call) : numberIn(call, last))
  return known(value === undefined ? undefined : withGiven(value, assigned))
}

/** QJ17. What names of the handler were given: `const message = error.message || 'failed'`. */
function withGiven(value: Value, given: readonly Assignment[], depth = 0): Value {
  if (depth > 3) return value
  const inner = (each: Value): Value => withGiven(each, given, depth + 1)
  if (value.kind === 'path' && value.path.root === 'local' && !value.path.text.includes('.')) {
    const writes = given.filter(({ target }) => target.text === value.path.text && !target.isOwn)
    const [only] = writes
    return writes.length === 1 && only?.isDeclaration === true ? inner(only.value) : value
  }
  if (value.kind !== 'object') return value
  return { ...value, entries: value.entries.map(([key, each]) => [key, inner(each)] as const) }
}

/** Of gRPC in Python: what is said beside the text. */
function codeBeside({ calls }: FileFacts, { callee, block }: Call): Value | undefined {
  const setter = callee.text.replace(/set_details$/, 'set_code')
  return calls.find((each) => each.callee.text === setter && each.block === block)?.args[0]
}

function numberIn({ args, callee }: Call, last: string): Value | undefined {
  if (last === 'HTTPException' || last === 'abort') return args[0]
  if (/^(?:Response|PlainTextResponse|ORJSONResponse|JSONResponse|make_response)$/.test(last)) return args[1]
  return /^(c|ctx)\.json$/.test(callee.text) ? args[1] : undefined
}

function known(value: Value | undefined): number | undefined {
  if (value?.kind === 'number') return value.value
  // What is answered where the error says nothing of a status.
  if (value?.kind === 'operation' && /^(\|\||\?\?)$/.test(value.operator)) return known(value.right)
  const text = value?.kind === 'path' ? value.path.text : ''
  const named = /(?:^|[._])HTTP_(5\d\d)_[A-Z_]+$/.exec(text)?.[1]
  if (named !== undefined) return Number(named)
  return /INTERNAL_SERVER_ERROR|InternalServerError|HTTPStatus\.(?:BAD_GATEWAY|SERVICE_UNAVAILABLE|GATEWAY_TIMEOUT)|StatusCode\.(?:INTERNAL|UNKNOWN|UNAVAILABLE)$/.test(
    text,
  )
    ? 500
    : undefined
}

/** `str(e)`, a text with something in it. */
function isWritten({ calls }: FileFacts, value: Value): boolean {
  if (value.kind === 'template') return true
  return value.kind === 'call' && /^(str|repr|String)$/.test(calls[value.call]?.callee.text ?? '')
}

/** `str(e)`, `e.message`, `e` itself in a text or an object. */
function shownOf(
  facts: FileFacts,
  value: Value,
  about: About,
  depth: number,
  isText = false,
): 'text' | 'stack' | undefined {
  if (depth > 5) return undefined
  const { name } = about
  const any = (values: readonly Value[], inText = isText): 'text' | 'stack' | undefined => {
    const found = values.map((each) => shownOf(facts, withGiven(each, about.given), about, depth + 1, inText))
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
      if (/^(str|repr|String)$/.test(call.callee.text) || call.callee.text === `${name}.toString`)
        return any(call.args, true)
      if (ANSWER.test(lastName(call.callee))) return any([...call.args, ...call.named.map(([, each]) => each)])
      if (SHAPING.test(call.callee.text) || /^(?:json\.dumps|orjson\.dumps|JSON\.stringify)$/.test(call.callee.text))
        return any(call.args)
      // QL9. What builds the body is given the text of the error, not the error, which it may look at.
      return any([...call.args, ...call.named.map(([, each]) => each)].filter((each) => isWritten(facts, each)))
    }
    default:
      return undefined
  }
}
