// What is done with the answer of an HTTP call: is its status looked at, is it handed on to somebody who may, or is its body used as if all went well.
// Read from the text of the function: a status can be looked at in more ways than facts have forms for, and every mention counts as one.
//   QM17. A status that a caller answers with itself is looked at by whoever asked.

import type { Call, FileFacts } from '../../facts/facts.ts'
import { type IndexedFile, type Program, programOf } from '../../program/index.ts'
import type { Repository } from '../../repository/repository.ts'
import type { Outbound } from '../../system/outbound.ts'

/** checked: or somebody else may look. reported: it is put into what the function answers, where no caller looks at it. */
export type AnswerUse = 'checked' | 'used' | 'reported' | 'dropped'

const STATUS =
  'ok|status|status_code|statusCode|statusText|raise_for_status|is_success|is_error|is_client_error|is_server_error|reason|redirected|error|headers'
const BODY = 'json|text|content|body|blob|arrayBuffer|formData|read|iter_\\w+|data|aread|bytes'
/** Whoever looks at what the body says may see the refusal there. */
const LOOKS_INSIDE =
  /\b(?:if|elif|assert|unless|switch|case|match|expect)\b[^\n]*\b(?:errors?|success\w*|ok|status\w*|code|message|detail|valid)\b|\bisinstance\(|\bisArray\(|\binstanceof\b|\?\.\s*errors?\b|\.safeParse\(|\.parse\((?!\s*JSON)|\bvalidate/i

export function useOfAnswer(repository: Repository, { site }: Outbound): AnswerUse {
  const program = programOf(repository.facts)
  const file = program.file(site.file)
  if (file === undefined) return 'checked'
  const { call } = site
  if (expectsNonsense(file, call)) return 'checked'
  const text = textAfter(repository, file, call)
  if (call.target !== undefined) {
    const name = `${call.target.isOwn ? '(?:this|self)\\.' : ''}${escaped(call.target.text)}`
    const use = useOfName(text, name)
    return use === 'reported' && isReadByCallers(repository, program, file, call) ? 'checked' : use
  }
  return useOfChain(repository, file, call, text)
}

/** `except (KeyError, ValueError)` around it: an answer without what it should have is looked for. */
function expectsNonsense({ facts: { blocks } }: IndexedFile, call: Call): boolean {
  const expected = new Set<number>()
  for (const { kind, name, of } of blocks)
    if (
      kind === 'handler' &&
      of !== undefined &&
      /KeyError|ValueError|JSONDecodeError|ValidationError|TypeError/.test(name)
    )
      expected.add(of)
  for (let at = call.block; at !== -1; at = blocks[at]?.parent ?? -1) if (expected.has(at)) return true
  return false
}

function useOfName(text: string, name: string): AnswerUse {
  const looked = new RegExp(`(?<![\\w.])${name}\\s*[?!]?\\.\\s*(?:${STATUS})\\b`)
  const handedOn = new RegExp(
    `[(,=[]\\s*${name}\\s*[,)\\];\\n]|\\b(?:return|yield|in|await)\\s+${name}\\s*(?:[;,)\\n]|$)|\\.\\.\\.${name}\\b|\\}\\s*=\\s*${name}\\b|[{,]\\s*${name}\\s*[,}]`,
  )
  // `"status": response.status_code,` of what is answered looks at nothing.
  const others = text.replace(
    new RegExp(`\\b\\w+["']?\\s*:\\s*${name}\\.(?:status_code|statusCode|status)\\s*[,\\n}]`, 'g'),
    '',
  )
  const isReported = others !== text
  const isLooked = looked.test(others.replace(new RegExp(`${name}\\.headers\\b`, 'g'), ''))
  if (isLooked || handedOn.test(others) || LOOKS_INSIDE.test(others)) return 'checked'
  if (!new RegExp(`(?<![\\w.])${name}\\s*[?!]?\\.\\s*(?:${BODY})\\b`).test(text))
    return isReported ? 'checked' : 'dropped'
  return isReported ? 'reported' : 'used'
}

function useOfChain(repository: Repository, file: IndexedFile, call: Call, text: string): AnswerUse {
  const index = file.facts.calls.indexOf(call)
  const next = file.facts.calls.filter(({ on }) => on === index)
  const [first] = next
  if (first === undefined) return call.use === 'dropped' || call.use === 'awaited' ? endOf(file, call) : 'checked'
  const method = first.callee.text.slice(first.callee.text.lastIndexOf('.') + 1)
  if (new RegExp(`^(?:${BODY})$`).test(method)) return LOOKS_INSIDE.test(text) ? 'checked' : 'used'
  const [handler] = first.args
  if (method !== 'then' || handler?.kind !== 'function') return 'checked'
  const name = file.facts.blocks[handler.block]?.fn?.params[0] ?? ''
  if (!/^\w+$/.test(name)) return 'checked'
  const block = file.facts.blocks[handler.block]
  const inside = linesOf(repository, file.facts)
    .slice((block?.line ?? 1) - 1, block?.endLine)
    .join('\n')
  const body = inside.slice(inside.indexOf('=>') + 2)
  const use = useOfName(body, escaped(name))
  return use === 'used' && LOOKS_INSIDE.test(text) ? 'checked' : use
}

/** Awaited and nothing more, as a statement. */
function endOf(file: IndexedFile, call: Call): AnswerUse {
  const isValue =
    file.facts.exits.some(
      ({ value }) =>
        value?.kind === 'await' && value.value.kind === 'call' && file.facts.calls[value.value.call] === call,
    ) ||
    file.facts.assignments.some(
      ({ value }) =>
        value.kind === 'await' && value.value.kind === 'call' && file.facts.calls[value.value.call] === call,
    ) ||
    file.facts.calls.some(({ args }) =>
      args.some(
        (arg) => arg.kind === 'await' && arg.value.kind === 'call' && file.facts.calls[arg.value.call] === call,
      ),
    )
  return isValue ? 'checked' : 'dropped'
}

/** Does anybody who calls the function look at a status in what it answers? */
function isReadByCallers(repository: Repository, program: Program, file: IndexedFile, call: Call): boolean {
  const block = file.functionOf(call.block)
  const callers = block === -1 ? [] : program.callers({ file: file.facts.file, block })
  if (callers.length === 0) return true
  return callers.some((site) => {
    const own = program.file(site.file)
    const text = own === undefined ? '' : textAfter(repository, own, site.call)
    return (
      /\b(?:if|elif|assert|raise|throw|match|switch|while)\b[^\n]*(?:status_code|statusCode|status|ok)\b/.test(text) ||
      /\b\w*Response\((?:[^()]|\([^()]*\))*\bstatus_?code\s*=\s*\w+(?:\[["']|\.)status|\.status\(\w+\.status/i.test(
        text,
      )
    )
  })
}

/** The function's text from the call on. */
function textAfter(repository: Repository, file: IndexedFile, call: Call): string {
  const block = file.facts.blocks[Math.max(0, file.functionOf(call.block))]
  return linesOf(repository, file.facts)
    .slice(call.line - 1, block?.endLine ?? call.endLine)
    .join('\n')
}

const LINES = new WeakMap<FileFacts, readonly string[]>()

function linesOf(repository: Repository, facts: FileFacts): readonly string[] {
  const kept = LINES.get(facts) ?? (repository.files.read(facts.file) ?? '').split('\n')
  LINES.set(facts, kept)
  return kept
}

function escaped(name: string): string {
  return name.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
}
