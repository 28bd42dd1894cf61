// Memory that grows with use: a map, list, set or dict that lives as long as the process, is added to for requests, messages, connections or their keys, and from
// which nothing that runs takes anything out.
// Found where a chain of calls leads from an entry to what adds, and where what is added, or the key it is added under, differs from request to request. Silent
// where its size is compared with anything, where something that runs removes, and where keys are of a kind that there are few of (languages, methods, states).
// Strong where it is seen to live as long as the process and is handed to nobody unknown.
//   BD5. A container that is bounded, emptied or short-lived, as far as that is seen, is not found.
//   QL19. What a function of start-up adds (`initialize`, `setup`) comes once, also where the first request calls it.
//   BD6. An eviction that happens only when the same key is read again, by hand, at shutdown, or never, is no bound; the finding says which it is.

import type { Value } from '../../facts/facts.ts'
import type { Evidence } from '../../model/evidence.ts'
import type { BlockRef, IndexedFile, Program } from '../../program/index.ts'
import type { Repository } from '../../repository/repository.ts'
import { type Cause, type Traffic, trafficOf } from '../../system/traffic.ts'
import { GUARANTEES } from '../guarantees.ts'
import { isPage } from '../places.ts'
import { seenAt, symbolOf } from '../queries.ts'
import type { Discovery, Rule } from '../rule.ts'
import type { Container, Use, Uses } from './container.ts'
import { containersOf } from './containers.ts'
import { amountOf } from './keys.ts'
import { Lifetimes } from './lifetimes.ts'
import { type Idle, Removals } from './removals.ts'
import { isServed } from './served.ts'
import { slowReaders } from './slow-readers.ts'

/** What is registered, not what is asked. */
const REGISTERED =
  /(?:provider|handler|plugin|adapter|driver|factory|factories|parser|processor|strategy|strategies|worker)s?(?:_?(?:registry|map|list|by_?\w+))?$/i
/** Classes that are for many requests, by their name. */
const LASTING =
  /(?:Store|Manager|Service|Cache|Registry|Tracker|Monitor|Collector|Pool|Limiter|Queue|Hub|Bus|Gateway|Coordinator|Server|Repository)$/
/** QL19. */
const STARTING = /^_*(?:init(?:iali[sz]e)?|set_?up|on_?(?:start_?up|module_?init)|start_?up|boot(?:strap)?)$/i
const TAKEN = /\.(?:delete|clear|pop|popitem|shift|splice|remove|discard)$/
const PLACES_MAX = 4

export const unboundedMemory: Rule = {
  meta: {
    id: 'unbounded-memory',
    category: 'bounds',
    severity: 'high',
    title: 'Memory grows with every request and is never given back',
    why: 'The process needs more memory the longer it runs and the more it is asked, until it is killed: all requests under way fail at once, and after the restart it begins again. Nothing in a test shows it.',
    remedies: [
      {
        priority: 'P1',
        text: 'Give it a bound and say what happens at the bound (drop the oldest, refuse), or keep the data where it has an expiry; an expiry needs something that runs, such as a timer.',
        effort: 'S',
        guarantee: GUARANTEES.bulkhead,
      },
    ],
    sources: [
      'CWE-770: allocation of resources without limits or throttling',
      'CWE-401: missing release of memory after effective lifetime',
    ],
  },
  *run(repository: Repository): Iterable<Discovery> {
    const traffic = trafficOf(repository)
    const { program } = traffic
    let lifetimes: Lifetimes | undefined
    const removals = new Removals(repository)
    let outside: ReadonlySet<string> | undefined
    for (const { container, uses } of allContainers(traffic)) {
      const file = program.file(container.file)
      if (file === undefined || !isServed(container.file)) continue
      const growth = REGISTERED.test(container.name) ? [] : growthOf(repository, traffic, container, uses)
      if (growth.length === 0 || uses.some(({ how }) => how === 'size')) continue
      const idle = idleRemovals(program, removals, uses, growth)
      if (idle === undefined) continue
      outside ??= takenElsewhere(program)
      if (container.scope === 'field' && outside.has(container.name)) continue
      lifetimes ??= new Lifetimes(traffic)
      const lifetime = lifetimes.of(container)
      if (lifetime === 'shorter' || (lifetime === 'unknown' && !isLasting(file, container))) continue
      const isSure =
        lifetime === 'process' &&
        !uses.some((use) => isHandedAway(program, use)) &&
        !growth.every(isSlow) &&
        !REGISTERED.test(container.name)
      const tier = isSure ? 'strong' : 'review'
      yield discovery(file, container, growth, idle, tier)
    }
    yield* slowReaders(repository)
  },
}

/** Those of all files, with what other files do to what they import. */
function allContainers(traffic: Traffic): readonly Uses[] {
  const { program } = traffic
  const found = new Map<string, readonly Uses[]>()
  for (const path of busyFiles(traffic)) {
    const file = program.file(path)
    if (file === undefined || isPage(file.facts)) continue
    found.set(path, containersOf(path, file))
  }
  for (const path of program.files) {
    const file = program.file(path)
    if (file === undefined) continue
    const others = new Map<string, Uses>()
    for (const { module, imported, local } of file.facts.imports) {
      const from = program.module(path, module)
      for (const each of (from === undefined || from === path ? undefined : found.get(from)) ?? []) {
        const { name, scope } = each.container
        if (scope === 'module' && imported === name) others.set(local, each)
        else if (scope === 'module' && imported === '*') others.set(`${local}.${name}`, each)
      }
    }
    if (others.size > 0) containersOf(path, file, others)
  }
  return [...found.values()].flat()
}

/** Files in which something runs by traffic or by a timer, and those that they import: elsewhere nothing grows. */
function busyFiles(traffic: Traffic): ReadonlySet<string> {
  const { program } = traffic
  const runs = (ref: BlockRef, cause: Cause): boolean => traffic.runs(ref, cause)
  const found = new Set<string>()
  for (const path of program.files) {
    const facts = program.file(path)?.facts
    const isBusy = facts?.blocks.some(
      ({ kind }, block) =>
        kind === 'function' && (runs({ file: path, block }, 'traffic') || runs({ file: path, block }, 'timer')),
    )
    if (facts === undefined || isBusy !== true) continue
    found.add(path)
    for (const { module } of facts.imports) {
      const from = program.module(path, module)
      if (from !== undefined) found.add(from)
    }
  }
  return found
}

/** Fields of that name that something is taken out of through another object: whose they are is not seen. */
function takenElsewhere(program: Program): ReadonlySet<string> {
  const names = new Set<string>()
  for (const { call } of program.callsLike(TAKEN)) {
    const parts = call.callee.text.split('.')
    if (parts.length >= 3) names.add(parts.at(-2) ?? '')
  }
  for (const path of program.files) {
    const facts = program.file(path)?.facts
    for (const { target, operator } of facts?.assignments ?? []) {
      const parts = target.text.split('.')
      if (operator === 'delete' && parts.length >= 3) names.add(parts.at(-2) ?? '')
      else if (operator === '=' && parts.length >= 2 && parts.at(-1) !== '[]') names.add(parts.at(-1) ?? '')
    }
  }
  return names
}

/** What adds for the sake of somebody outside. */
function growthOf(
  repository: Repository,
  traffic: Traffic,
  { scope, owner, holdsBounded }: Container,
  uses: readonly Use[],
): readonly Use[] {
  const trimmed = new Set(uses.flatMap(({ how, part = '' }) => (how === 'trim' ? [part] : [])))
  const isTrimmed = (part: string): boolean => holdsBounded || trimmed.has('') || trimmed.has(part)
  return uses.flatMap((use) => {
    const key = use.isKeyed === true ? (use.key ?? writtenKey(repository, use)) : undefined
    return isGrowth(use, key) ? [key === undefined ? use : { ...use, key }] : []
  })

  function isGrowth(use: Use, key: Value | undefined): boolean {
    if (use.how !== 'grow' && (use.how !== 'fill' || isTrimmed(use.part ?? ''))) return false
    const fn = refOf(traffic.program, use)
    if (fn === undefined || (scope === 'closure' && fn.block === owner)) return false
    if (scope === 'field' && isConstructor(traffic.program, fn)) return false
    if (STARTING.test(traffic.program.file(fn.file)?.facts.blocks[fn.block]?.name ?? '')) return false
    // A timer adds for ever, too, if what it adds is no key.
    if (use.isKeyed !== true && traffic.runs(fn, 'timer')) return true
    if (!traffic.runs(fn, 'traffic')) return false
    if (key === undefined) return true
    return traffic.varies(use.file, use.block, key) && amountOf(meantBy(traffic.program, use, key)) !== 'few'
  }
}

function isConstructor(program: Program, { file, block }: BlockRef): boolean {
  return program.file(file)?.facts.blocks[block]?.fn?.kind === 'constructor'
}

function refOf(program: Program, { file: path, block }: Use): BlockRef | undefined {
  const fn = program.file(path)?.functionOf(block) ?? -1
  return fn === -1 ? undefined : { file: path, block: fn }
}

/** `c[key] = …`: facts don't have the key. */
function writtenKey(repository: Repository, { file, line }: Use): Value {
  const source = repository.files.read(file)?.split('\n', line)[line - 1] ?? ''
  return { kind: 'other', text: /\[([^[\]]{1,120})\](?:\s*(?:[+|]?=|\?\?=|\|\|=)|\.\w+\()/.exec(source)?.[1] ?? '' }
}

/** What a key was put together from, in the same function: `cache_key = f"page:{slug}"`. */
function meantBy(program: Program, { file: path, block }: Use, key: Value): Value {
  const name = key.kind === 'other' ? key.text : key.kind === 'path' ? key.path.text : ''
  const file = program.file(path)
  const fn = file?.functionOf(block) ?? -1
  if (file === undefined || fn === -1 || !/key$/i.test(name)) return key
  const made = file.facts.assignments.filter(
    ({ target, block: where }) => target.text === name && file.within(where, fn),
  )
  return made.length === 1 && made[0]?.value.kind === 'template' ? made[0].value : key
}

function textOfKey(key: Value): string {
  if (key.kind === 'path') return key.path.text
  if (key.kind === 'other') return key.text
  if (key.kind === 'template') return key.values.map(textOfKey).join(' ')
  return ''
}

/** Undefined: something that may run takes things out. */
function idleRemovals(
  program: Program,
  removals: Removals,
  uses: readonly Use[],
  growth: readonly Use[],
): readonly (readonly [Use, Idle])[] | undefined {
  const growing = growth.flatMap((use) => refOf(program, use) ?? [])
  const found: [Use, Idle][] = []
  for (const use of uses) {
    if (use.how !== 'take' && !(use.how === 'hand' && isTaking(program, use))) continue
    const idle = removals.idle(use, growing)
    if (idle === undefined) return undefined
    found.push([use, idle])
  }
  // Where things expire on read, it is a cache, and its keys are many: who asks for one of them to go leaves the others. Elsewhere that is how they go.
  const isCache = found.some(([, idle]) => idle === 'on read')
  return isCache || found.every(([, idle]) => idle !== 'key by key') ? found : undefined
}

/** The function that it is handed to takes something out of its parameter. */
function isTaking(program: Program, { file, call, arg }: Use): boolean {
  const target = call === undefined ? undefined : program.target({ file, call })
  const of = target === undefined ? undefined : program.file(target.file)
  const param = of?.facts.blocks[target?.block ?? -1]?.fn?.params[arg ?? -1]
  if (of === undefined || target === undefined || param === undefined) return false
  const { calls, assignments } = of.facts
  return (
    calls.some(
      ({ callee, block }) =>
        new RegExp(`^${param}\\.(?:delete|clear|pop\\w*|shift|splice|remove|discard)$`).test(callee.text) &&
        of.within(block, target.block),
    ) ||
    assignments.some(
      ({ target: to, operator, block }) =>
        operator === 'delete' && to.text.startsWith(`${param}.`) && of.within(block, target.block),
    )
  )
}

/** Whoever makes it is not seen, but it is no helper of one request. */
function isLasting(file: IndexedFile, { scope, owner }: Container): boolean {
  return scope === 'field' && LASTING.test(file.facts.blocks[owner]?.name ?? '')
}

function isSlow({ isKeyed, key }: Use): boolean {
  return isKeyed === true && key !== undefined && amountOf(key) === 'slow'
}

function isHandedAway(program: Program, { how, call, file }: Use): boolean {
  return how === 'hand' && call !== undefined && program.target({ file, call }) === undefined
}

function discovery(
  file: IndexedFile,
  container: Container,
  growth: readonly Use[],
  idle: readonly (readonly [Use, Idle])[],
  tier: 'strong' | 'review',
): Discovery {
  const { name, at, scope } = container
  const evidence: Evidence[] = growth.slice(0, PLACES_MAX).map((use) => seenAt(use.file, use, growthText(name, use)))
  evidence.push(seenAt(container.file, at, `${name} begins here and lives as long as ${LIVES[scope]}`))
  for (const [use, why] of idle.slice(0, PLACES_MAX))
    evidence.push(seenAt(use.file, use, `taken out here, but only ${ONLY[why]}`))
  const away =
    idle.length === 0
      ? 'nothing takes anything out'
      : `what takes things out runs only ${[...new Set(idle.map(([, why]) => ONLY[why]))].join(', or ')}`
  const [{ block, key }] = growth as readonly [Use]
  return {
    tier,
    evidence,
    // Maps that grow together under one key (values, and when they expire) are one thing to mend; what is for review is told once for a component.
    cause:
      tier === 'review'
        ? `grows slowly in ${container.file.split('/').slice(0, 2).join('/')}`
        : `${container.file} ${symbolOf(file.facts, block)} ${key === undefined ? name : textOfKey(key)}`,
    symbol: `${symbolOf(file.facts, at.block)} ${name}`.trim(),
    symptom: `The process needs more memory with use, and is killed when ${name} has grown enough.`,
    rootCause: `${name} has no bound: ${away}.`,
  }
}

function growthText(name: string, { how, isKeyed }: Use): string {
  return `${how === 'fill' ? `what is kept in ${name}` : name} grows here, for every new ${isKeyed === true ? 'key' : 'item'} that comes from outside`
}

const LIVES = {
  module: 'the process',
  field: 'the object, which is made once',
  closure: 'what was made at start-up',
} as const
const ONLY: Readonly<Record<Idle, string>> = {
  'at shutdown': 'at start-up or shutdown',
  'called by nobody': 'in a function that nothing calls',
  'by hand': 'when somebody asks for it',
  'on read': 'when it is read again after it expired',
  'key by key': 'when somebody asks for that one key to go',
}
