// Limits of request rates whose counters or whose failures are not what they seem.
//   RZ1. Counters in memory are found only where a limiter of a known library is created and no store can be given to it; with replicas it is worse.
//   RZ2. A limiter that refuses everything when its store is gone is found only where the library is known to do so and nothing switches it off.
//   RZ3. A limiter that lets everything through is found only in the handler of an error of a limiter; a comment that says so makes it one for review.
//   QW3. So is one that goes on to what it guards: by `next()` in the handler, or behind one that only logs what its own refusal was tried in.
//   RZ4. What counts calls under way is found only where it is called a limit of rate, and nothing waits in it.

import type { Call, FileFacts, Place, Value } from '../../facts/facts.ts'
import type { Evidence } from '../../model/evidence.ts'
import { type IndexedFile, programOf } from '../../program/index.ts'
import type { Repository } from '../../repository/repository.ts'
import { contentsOf } from '../contents.ts'
import { handlersIn, onlyLogs } from '../errors/handlers.ts'
import { GUARANTEES } from '../guarantees.ts'
import { catchesAny } from '../promises/rejections.ts'
import { seenAt, symbolOf } from '../queries.ts'
import type { Discovery, Rule } from '../rule.ts'
import { replicasOf, servicesOf } from './deployed.ts'
import { limitersOf } from './limiters.ts'
import { ownLimitersOf } from './own-limiters.ts'

export const rateLimitInMemory: Rule = {
  meta: {
    id: 'rate-limit-in-memory',
    category: 'guards',
    severity: 'low',
    title: 'A rate limit that each process counts for itself',
    why: 'With N processes the limit is N times what it says, and every restart forgets it: who guesses passwords gets a fresh budget with each deployment.',
    remedies: [
      {
        priority: 'P2',
        text: 'Give the limiter a store that all processes share, with a deadline, and decide what happens when it is gone.',
        effort: 'S',
        guarantee: GUARANTEES.gatewayRate,
      },
    ],
    sources: [
      'express-rate-limit: the default MemoryStore does not share state between processes',
      'Flask-Limiter and slowapi: memory:// is the default storage',
    ],
  },
  *run(repository: Repository): Iterable<Discovery> {
    for (const { site, library, store } of limitersOf(repository)) {
      if (store !== 'memory') continue
      const many = manyOf(repository, site.file)
      yield {
        tier: 'strong',
        severity: many.length > 0 ? 'high' : 'low',
        evidence: [seenAt(site.file, site.call, `${library} without a shared store`), ...many],
        cause: `${library} in memory of ${servicesOf(repository, site.file)[0]?.service.name ?? site.file.split('/').slice(0, 2).join('/')}`,
        symbol:
          symbolOf(repository.facts.get(site.file) ?? NO_FACTS, site.call.block) || (site.call.target?.text ?? ''),
        symptom: SYMPTOM,
        rootCause: `${library} counts in memory where no store is given.`,
      }
    }
    for (const { file, name, ...place } of ownLimitersOf(repository)) {
      const many = manyOf(repository, file)
      yield {
        tier: 'strong',
        severity: many.length > 0 ? 'high' : 'low',
        evidence: [seenAt(file, place, `${name} counts in this process`), ...many],
        cause: `limits counted in ${file}`,
        symbol: name,
        symptom: SYMPTOM,
        rootCause: `What decides about 429 is counted in ${name}, a variable of the process.`,
      }
    }
  },
}

const SYMPTOM =
  'The limit holds for one process and until its next restart: with more of them callers get a multiple of it.'

/** What says that several processes run a file. */
function manyOf(repository: Repository, path: string): readonly Evidence[] {
  const replicas = replicasOf(repository, path)
  const workers = replicas > 1 ? undefined : workersOf(repository, path)
  if (replicas === 1) return workers === undefined ? [] : [workers]
  const what = 'replicas that its deployment asks for'
  return [{ provenance: 'config', loc: undefined, what, value: replicas, unit: 'replicas' }]
}

const NO_FACTS = { blocks: [] } as never

/** `--workers 4`. */
function workersOf(repository: Repository, path: string): Evidence | undefined {
  for (const { service } of servicesOf(repository, path)) {
    const command = service.command ?? service.entrypoint
    const count = Number(/(?:--workers|-w)[ =](\d+)|\s-i\s+(\d+)/.exec(command?.value ?? '')?.[1] ?? 1)
    if (count > 1 && command !== undefined)
      return {
        provenance: 'config',
        loc: command.loc,
        what: 'processes that it is started with',
        value: count,
        unit: 'processes',
      }
  }
  return undefined
}

export const rateLimiterHardDependency: Rule = {
  meta: {
    id: 'rate-limiter-hard-dependency',
    category: 'guards',
    severity: 'medium',
    title: 'A limiter whose store takes all requests down with it',
    why: 'The limit protects against too much; when its store is gone, nothing is too much, and every request fails for the sake of a guard.',
    remedies: [
      {
        priority: 'P1',
        text: 'Decide per route: let requests through (and count them) where the limit only protects capacity, refuse them where it protects passwords.',
        effort: 'XS',
        guarantee: GUARANTEES.gatewayRate,
      },
    ],
    sources: [
      'express-rate-limit: passOnStoreError is false by default',
      'slowapi and Flask-Limiter: swallow_errors and in_memory_fallback are off by default',
    ],
  },
  *run(repository: Repository): Iterable<Discovery> {
    for (const { site, library, onStoreError } of limitersOf(repository))
      if (onStoreError === 'refuses')
        yield {
          tier: 'strong',
          evidence: [
            seenAt(
              site.file,
              { line: site.call.line, endLine: site.call.line },
              `${library} passes errors of its store on to the request`,
            ),
          ],
          cause: `limiters of ${site.file}`,
          symbol: site.call.target?.text ?? '',
          symptom: 'While the store of the limiter is down, every request that it guards fails.',
          rootCause: `Nothing tells ${library} what to do without its store, and by default the error becomes the answer.`,
        }
  },
}

const LIMITING = /rate_?-?limit|limiter|throttl/i

export const rateLimiterFailOpen: Rule = {
  meta: {
    id: 'rate-limiter-fail-open',
    category: 'guards',
    severity: 'medium',
    title: 'A limiter that lets everything through when it fails',
    why: 'Overload and attacks often are what makes the store of a limiter fail; at that moment the limit is gone.',
    remedies: [
      {
        priority: 'P2',
        text: 'Fall back to a limit in memory, or refuse where the limit protects passwords and money; count how often it happens.',
        effort: 'S',
        guarantee: GUARANTEES.gatewayRate,
      },
    ],
    sources: ['CWE-636: not failing securely'],
  },
  *run(repository: Repository): Iterable<Discovery> {
    for (const [path, facts] of repository.facts) {
      const file = programOf(repository.facts).file(path)
      if (file === undefined) continue
      for (const { place, handler } of [...allowedIn(file), ...passedIn(file)]) {
        const symbol = symbolOf(facts, place.block)
        yield {
          tier: isExplained(file, handler) ? 'review' : 'strong',
          evidence: [seenAt(path, place, 'allowed, because the limiter failed')],
          symbol,
          symptom: 'While the store of the limiter is down, nothing is limited.',
          rootCause: `The handler of the error in ${symbol || path} answers that the request is allowed.`,
        }
      }
    }
  },
}

interface Allowed {
  readonly place: Place
  readonly handler: number
}

function* allowedIn(file: IndexedFile): Iterable<Allowed> {
  const { facts } = file
  for (const exit of facts.exits) {
    if (exit.kind !== 'return' || exit.value === undefined || !allows(exit.value, true)) continue
    const handler = handlerAround(file, exit.block)
    const symbol = symbolOf(facts, exit.block)
    if (handler === -1 || !isLimiting(facts, symbol)) continue
    if (allows(exit.value, LIMITING.test(symbol) && /allow|check|limit|acquire|consume|permit/i.test(symbol)))
      yield { place: exit, handler }
  }
}

function isLimiting({ file }: FileFacts, symbol: string): boolean {
  return LIMITING.test(symbol) || LIMITING.test(file.slice(file.lastIndexOf('/') + 1))
}

const REFUSED = /^(?:402|403|429)$|HTTP_4(?:02|03|29)\w*|TOO_MANY_REQUESTS|TooManyRequests|QuotaExceeded/

/** QW3. */
function* passedIn({ facts, functionOf }: IndexedFile): Iterable<Allowed> {
  for (const handled of handlersIn(facts)) {
    const { block, index, contents, tried } = handled
    const symbol = symbolOf(facts, index)
    if (!isLimiting(facts, symbol) && !/quota/i.test(symbol)) continue
    const passing = contents.calls.find(passes)
    if (passing !== undefined) {
      yield { place: passing, handler: index }
      continue
    }
    if (contents.exits.length > 0 || !catchesAny(block) || !onlyLogs(facts, handled)) continue
    const isRefusing = contentsOf(facts, tried).calls.some(
      ({ args, named }) => args.some(refuses) || named.some(([, value]) => refuses(value)),
    )
    const goesOn = contentsOf(facts, functionOf(index)).calls.some((call) => call.line > block.endLine && passes(call))
    if (isRefusing && goesOn) yield { place: { line: block.line, endLine: block.line, block: index }, handler: index }
  }
}

/** On to what the limiter stands before: `next()` without an error, `call_next(request)`. */
function passes({ callee, args }: Call): boolean {
  return callee.root === 'param' && ((callee.text === 'next' && args.length === 0) || callee.text === 'call_next')
}

function refuses(value: Value): boolean {
  return (
    (value.kind === 'number' || value.kind === 'path') &&
    REFUSED.test(String(value.kind === 'number' ? value.value : value.path.text))
  )
}

function handlerAround({ facts }: IndexedFile, from: number): number {
  for (let at = from; at >= 0; at = facts.blocks[at]?.parent ?? -1) {
    const kind = facts.blocks[at]?.kind
    if (kind === 'handler') return at
    if (kind === 'function' || kind === 'class') return -1
  }
  return -1
}

/** `{ allowed: true }`, and `true` of what is named for allowing. */
function allows(value: Value, isAsked: boolean): boolean {
  if (value.kind === 'boolean') return isAsked && value.value
  if (value.kind === 'object')
    return value.entries.some(
      ([key, inner]) =>
        /^(?:is_?)?(?:allow(?:ed)?|success|permitted|ok)$/i.test(key) && inner.kind === 'boolean' && inner.value,
    )
  // `return True, {…}`.
  return value.kind === 'list' && value.items[0] !== undefined && allows(value.items[0], isAsked)
}

function isExplained({ facts }: IndexedFile, handler: number): boolean {
  const { line = 0, endLine = 0 } = facts.blocks[handler] ?? {}
  return facts.comments.some(
    (each) =>
      each.line >= line &&
      each.line <= endLine &&
      /allow|open|fall ?back|through|unavailable|not block|n't block/i.test(each.text),
  )
}

const COUNTS = /(?:^|\.)(?:Semaphore|BoundedSemaphore|pLimit|Sema|Mutex|Semaphore\w*)$/

export const concurrencyNotRate: Rule = {
  meta: {
    id: 'concurrency-not-rate',
    category: 'guards',
    severity: 'medium',
    title: 'A limit of calls under way that is taken for a limit of rate',
    why: 'Fast answers let far more calls through per second than the number says; the far end refuses them, and the refusals look like its fault.',
    remedies: [
      {
        priority: 'P2',
        text: 'Take a token bucket for calls per second, and keep the semaphore for calls at a time.',
        effort: 'S',
        guarantee: GUARANTEES.rate,
      },
    ],
    sources: ['RFC 6585, section 4: 429 Too Many Requests'],
  },
  *run(repository: Repository): Iterable<Discovery> {
    for (const { file: path, facts, call } of programOf(repository.facts).callsLike(COUNTS)) {
      const { target, callee } = call
      if (target === undefined || !/rate(?!d)/i.test(target.text)) continue
      if (waitsIn(facts.calls, target.text)) continue
      yield {
        tier: 'strong',
        evidence: [seenAt(path, call, `${target.text} counts calls that are under way`)],
        symbol: symbolOf(facts, call.block),
        symptom: 'Calls per second are not limited: with quick answers the far end’s limit is passed, and it refuses.',
        rootCause: `${target.text} is a ${callee.text}: it limits how many run at a time, whatever time they take.`,
      }
    }
  },
}

/** Who sleeps while holding it, or gives it back by a timer, makes a rate of it. */
function waitsIn(calls: readonly Call[], name: string): boolean {
  return (
    calls.some(({ callee }) => /(?:^|\.)(?:sleep|setTimeout|delay|call_later)$/.test(callee.text)) &&
    calls.some(({ callee }) => callee.text.startsWith(`${name}.`) && /release$/.test(callee.text))
  )
}
