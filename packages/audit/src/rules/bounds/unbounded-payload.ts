// Requests that are taken in whole, whatever their size: bodies that are gathered by hand, parsers whose limit is no limit, uploads without one.
//   BD11. Found where nothing that belongs to it compares a size or sets a limit. Where a proxy of the repository may limit requests, uploads are for review.

import type { Call, FileFacts, Value } from '../../facts/facts.ts'
import { type IndexedFile, type Program, programOf } from '../../program/index.ts'
import type { Repository } from '../../repository/repository.ts'
import { entriesOf } from '../../system/entries.ts'
import { constantOf, lastName, mayHide, optionOf, seenAt, symbolOf } from '../queries.ts'
import type { Discovery, Rule } from '../rule.ts'
import { isServed } from './served.ts'

const HUGE_BYTES = 100 * 1024 * 1024
const LARGE_BYTES = 50 * 1024 * 1024
const UNITS: Readonly<Record<string, number>> = { b: 1, kb: 1024, mb: 1024 ** 2, gb: 1024 ** 3 }
const PROXY = /nginx|traefik|caddy|haproxy|envoy|kong|ingress/i

export const unboundedPayload: Rule = {
  meta: {
    id: 'unbounded-payload',
    category: 'bounds',
    severity: 'medium',
    title: 'A request of any size is taken into memory',
    why: 'Whoever can reach it can send more than the process has memory for. One request is enough, and it takes all others with it.',
    remedies: [
      {
        priority: 'P2',
        text: 'Set a limit that fits what is really sent, refuse with 413 beyond it, and stream what must be large.',
        effort: 'XS',
      },
    ],
    sources: [
      'CWE-770: allocation of resources without limits or throttling',
      'RFC 9110, 15.5.14: 413 Content Too Large',
    ],
  },
  *run(repository: Repository): Iterable<Discovery> {
    const program = programOf(repository.facts)
    for (const facts of repository.facts.values()) {
      const file = program.file(facts.file)
      if (file === undefined || facts.language === 'python' || !isServed(facts.file)) continue
      for (const call of facts.calls) {
        const found = gathered(file, call) ?? hugeLimit(program, facts, call) ?? unlimitedUpload(program, facts, call)
        if (found === undefined) continue
        const { tier, what, cause } = found
        yield { ...discovery(facts, call, what), tier, ...(cause === undefined ? {} : { cause }) }
      }
    }
    yield* pythonUploads(repository, program)
  },
}

interface Seen {
  readonly tier: 'strong' | 'review'
  readonly what: string
  /** What is mended in one place. */
  readonly cause?: string
}

function discovery(facts: FileFacts, call: Call, what: string): Omit<Discovery, 'tier'> {
  return {
    evidence: [seenAt(facts.file, call, what)],
    symbol: symbolOf(facts, call.block),
    symptom:
      'A few very large requests, or one, fill the memory (or the disk, where uploads go) and end it for everybody.',
    rootCause: `There is no bound to what is taken in: ${what}.`,
  }
}

/** `req.on('data', (chunk) => { body += chunk })`. */
function gathered(file: IndexedFile, { callee, args }: Call): Seen | undefined {
  const [event, handler] = args
  const isBody = /(?:^|\.)(?:req|request)\.on$/.test(callee.text) && event?.kind === 'string' && event.value === 'data'
  if (!isBody || callee.root !== 'param' || handler?.kind !== 'function') return undefined
  const { assignments, calls, blocks } = file.facts
  const inside = (block: number): boolean => file.within(block, handler.block)
  const isKept =
    assignments.some(({ operator, block }) => operator === '+=' && inside(block)) ||
    calls.some(({ callee: { text }, block }) => text.endsWith('.push') && inside(block)) ||
    assignments.some(({ value, block }) => inside(block) && value.kind === 'operation' && value.operator === '+')
  // Any test in it is about the size, or about whether to go on.
  const outer = file.functionOf(blocks[handler.block]?.parent ?? 0)
  const isTested = blocks.some(
    ({ kind, test }, index) =>
      kind === 'branch' &&
      test !== undefined &&
      (inside(index) ||
        (outer !== -1 && file.functionOf(index) === outer && /content-length|length|size/i.test(JSON.stringify(test)))),
  )
  return isKept && !isTested
    ? { tier: 'strong', what: 'the body is gathered piece by piece, and nothing counts' }
    : undefined
}

/** `express.json({ limit: '200mb' })`. */
function hugeLimit(program: Program, { file }: FileFacts, call: Call): Seen | undefined {
  const { text, root } = call.callee
  if (
    !/(?:^|\.)(?:json|urlencoded|text|bodyParser)$/.test(text) ||
    !/^import:(?:express|body-parser|koa-body\w*|koa-bodyparser)/.test(root)
  )
    return undefined
  const given = optionOf(call, 'limit') ?? optionOf(call, 'jsonLimit')
  const bytes = given === undefined ? undefined : bytesOf(constantOf(program, file, given))
  if (bytes === undefined || bytes < LARGE_BYTES) return undefined
  const what = 'the limit of a body that is parsed whole is so high that a few requests fill the memory'
  return { tier: bytes >= HUGE_BYTES ? 'strong' : 'review', what, cause: `limits of bodies in ${file}` }
}

function bytesOf(value: Value): number | undefined {
  if (value.kind === 'number') return value.value
  const parts = value.kind === 'string' ? /^\s*(\d+(?:\.\d+)?)\s*(b|kb|mb|gb)\s*$/i.exec(value.value) : null
  return parts === null ? undefined : Number(parts[1]) * (UNITS[(parts[2] ?? 'b').toLowerCase()] ?? 1)
}

/** Libraries that take uploads of any size unless told otherwise. */
function unlimitedUpload(program: Program, { file }: FileFacts, call: Call): Seen | undefined {
  const { root, text } = call.callee
  const isUpload = /^import:(?:multer|express-fileupload|busboy)$/.test(root) && !text.includes('.')
  if (!isUpload || mayHide(call)) return undefined
  const [first] = call.args
  const given = first === undefined ? undefined : constantOf(program, file, first)
  if (given !== undefined && (given.kind !== 'object' || given.hasSpread)) return undefined
  if (given?.entries.some(([name]) => name === 'limits') === true) return undefined
  const library = root.slice('import:'.length)
  return { tier: 'strong', what: `${library} without limits takes files of any size`, cause: `uploads by ${library}` }
}

/** FastAPI and Flask have no limit of their own: what `read()` gives is the whole file. */
function* pythonUploads(repository: Repository, program: Program): Iterable<Discovery> {
  const tier = isBehindProxy(repository) ? 'review' : 'strong'
  for (const { kind, framework, handler } of entriesOf(repository)) {
    if (kind !== 'route' || !/fastapi|starlette/i.test(framework) || handler === undefined) continue
    const file = program.file(handler.file)
    const params = file?.facts.blocks[handler.block]?.fn?.params ?? []
    if (file === undefined) continue
    const { calls, blocks } = file.facts
    const reads = calls.filter(({ callee, args, named, block }) => {
      const [receiver = '', verb, more] = callee.text.split('.')
      return (
        verb === 'read' &&
        more === undefined &&
        args.length + named.length === 0 &&
        params.includes(receiver) &&
        file.functionOf(block) === handler.block
      )
    })
    const [first] = reads
    const isCounted = blocks.some(
      ({ test }, index) =>
        test !== undefined &&
        file.within(index, handler.block) &&
        /size|"len"|length|MAX/.test(`${JSON.stringify(test)}${lens(file, test)}`),
    )
    if (first === undefined || isCounted) continue
    yield {
      ...discovery(file.facts, first, 'an upload is read whole into memory before anything limits its size'),
      tier,
      cause: 'uploads that are read whole',
    }
  }
}

/** Names of calls in a test: facts have them by index only. */
function lens(file: IndexedFile, test: Value): string {
  if (test.kind === 'call')
    return lastName(file.facts.calls[test.call]?.callee ?? { text: '', isOwn: false, root: '' }) === 'len'
      ? '"len"'
      : ''
  return test.kind === 'operation' ? lens(file, test.left) + lens(file, test.right) : ''
}

function isBehindProxy({ configuration, files }: Repository): boolean {
  return (
    configuration.kubernetes.some(({ kind }) => PROXY.test(kind)) ||
    configuration.compose.some(({ services }) =>
      [...services.values()].some(({ image, name }) => PROXY.test(`${name} ${image?.value ?? ''}`)),
    ) ||
    files.list('configuration').some((path) => /nginx[^/]*\.conf|(?:^|\/)Caddyfile$/.test(path))
  )
}
