// Containers that a file keeps things in (maps, sets, lists, dicts of a module, of an object, of a closure), and everything that is done to them there: what grows
// them, what takes something out, where their size is looked at, and where they are handed on. Aliases of a container and of what is in it are followed.
// Invariants:
//   BD1. A container with a bound of its own (`deque(maxlen=…)`, a cache class) is none.
//   QU9. The size of what is in a container is no bound of the container; what has a default for every key grows by being asked.
//   BD2. What is done to one container is never counted for another of the same name in another class, function or module.

import type { Assignment, Call, FileFacts, Path, Place, Value } from '../../facts/facts.ts'
import type { IndexedFile } from '../../program/index.ts'
import type { Container, Uses } from './container.ts'
import {
  isBehindTest,
  isBoundedValue,
  isContainer,
  isMakerOfBounded,
  isOfConstructor,
  partOf,
} from './container-values.ts'

const KEYED_GROWTH = /^(?:set|add|setdefault|update)$/
const LIST_GROWTH = /^(?:push|unshift|append|appendleft|insert|extend)$/
const TAKING =
  /^(?:delete|clear|pop|popitem|popleft|shift|splice|remove|discard|difference_update|intersection_update)$/
const READING = /^(?:get|setdefault|at|values|items|entries|find|filter)$/
const COMPARING = /^(?:[<>]=?|[!=]==?)$/
/** Calls that look at what they are given and keep nothing of it. */
const LOOKING =
  /^(?:len|list|dict|set|tuple|sorted|sum|any|all|str|repr|print|isinstance|max|min|enumerate|zip|iter|next|bool|map|filter|reversed|type|id|hasattr|copy\.\w+|json\.dumps|JSON\.stringify|Object\.\w+|Array\.\w+|structuredClone|String|Boolean)$|(?:^|\.)(?:json|send|log\w*|debug|info|warn\w*|error|jsonify|JSONResponse|has|includes|concat|format|join)$/

/** What a name stands for: a container (depth 0), or something in it (1 and deeper). */
interface Meaning {
  readonly found: Uses
  readonly depth: number
}

/** All containers of a file with their uses in it. `others`: those of other files, by the local name that they are imported as. */
export function containersOf(
  path: string,
  file: IndexedFile,
  others: ReadonlyMap<string, Uses> = new Map(),
): readonly Uses[] {
  const found = new Finder(path, file, others)
  found.read()
  return found.all
}

class Finder {
  readonly all: Uses[] = []
  readonly #path: string
  readonly #file: IndexedFile
  readonly #facts: FileFacts
  readonly #others: ReadonlyMap<string, Uses>
  /** First names that may mean a container: a quick way to say no. */
  readonly #names = new Set<string>()
  /** By scope, owner and name. */
  readonly #byName = new Map<string, Uses>()
  /** By function and name. */
  readonly #aliases = new Map<string, Meaning>()
  /** Names that hold a size, by function and name; and lines on which keys are counted. */
  readonly #sizes = new Map<string, Meaning>()
  readonly #counts = new Map<number, Meaning>()

  constructor(path: string, file: IndexedFile, others: ReadonlyMap<string, Uses>) {
    this.#path = path
    this.#file = file
    this.#facts = file.facts
    this.#others = others
    for (const name of others.keys()) this.#names.add(name.split('.', 1)[0] as string)
  }

  read(): void {
    for (const assignment of this.#facts.assignments) this.#declare(assignment)
    if (this.all.length === 0 && this.#others.size === 0) return
    this.#readAliases()
    this.#readCounts()
    for (const call of this.#facts.calls) this.#readCall(call)
    for (const assignment of this.#facts.assignments) this.#readAssignment(assignment)
    for (const [block, { test, line, endLine }] of this.#facts.blocks.entries())
      if (test !== undefined) this.#readSizes(test, { line, endLine, block })
    for (const exit of this.#facts.exits) if (exit.value !== undefined) this.#readSizes(exit.value, exit)
  }

  #declare({ target, value, isDeclaration, operator, block, line, endLine }: Assignment): void {
    if (operator !== '=' || target.text === '' || target.text.includes('.') || !isContainer(this.#facts, value)) return
    const fn = this.#file.functionOf(block)
    const scope = target.isOwn ? 'field' : target.root === 'module' ? 'module' : 'closure'
    const owner = scope === 'field' ? this.#file.classOf(block) : scope === 'module' ? -1 : fn
    if ((scope !== 'module' && owner === -1) || (scope === 'closure' && !isDeclaration)) return
    const key = `${scope} ${owner} ${target.text}`
    if (this.#byName.has(key)) return
    const at = { line, endLine, block }
    const holdsBounded = isMakerOfBounded(this.#facts, value)
    const hasDefault = value.kind === 'call' && /defaultdict$/.test(this.#facts.calls[value.call]?.callee.text ?? '')
    const container: Container = { file: this.#path, scope, owner, name: target.text, at, holdsBounded, hasDefault }
    const uses: Uses = { container, uses: [] }
    this.#byName.set(key, uses)
    this.#names.add(target.text)
    const name = scope === 'field' ? this.#facts.blocks[owner]?.name : undefined
    if (name !== undefined) this.#names.add(name)
    this.all.push(uses)
  }

  /** What a path means, and what of it comes behind that. */
  #meaning({ text, isOwn, root }: Path, block: number): (Meaning & { readonly rest: readonly string[] }) | undefined {
    const dot = text.indexOf('.')
    const first = dot === -1 ? text : text.slice(0, dot)
    if (!this.#names.has(first)) return undefined
    const rest = dot === -1 ? [] : text.slice(dot + 1).split('.')
    if (isOwn) {
      const owner = this.#file.classOf(block)
      const found = this.#byName.get(`field ${owner} ${first}`)
      return found && { found, depth: 0, rest }
    }
    const alias = this.#outwards(block, (fn) => this.#aliases.get(`${fn} ${first}`))
    if (alias !== undefined) return { ...alias, rest }
    if (root === 'module') {
      const found = this.#byName.get(`module -1 ${first}`)
      if (found !== undefined) return { found, depth: 0, rest }
      // A field of the class itself.
      const owner = this.#file.classes.get(first)
      const field = owner === undefined ? undefined : this.#byName.get(`field ${owner} ${rest[0] ?? ''}`)
      return field && { found: field, depth: 0, rest: rest.slice(1) }
    }
    if (root.startsWith('import:')) {
      const direct = this.#others.get(first)
      if (direct !== undefined) return { found: direct, depth: 0, rest }
      const inner = rest.length === 0 ? undefined : this.#others.get(`${first}.${rest[0]}`)
      return inner && { found: inner, depth: 0, rest: rest.slice(1) }
    }
    const found = this.#outwards(block, (fn) => this.#byName.get(`closure ${fn} ${first}`))
    return found && { found, depth: 0, rest }
  }

  /** The first answer, from the function of a block outwards. */
  #outwards<T>(block: number, ask: (fn: number) => T | undefined): T | undefined {
    for (let fn = this.#file.functionOf(block); fn !== -1; ) {
      const answer = ask(fn)
      if (answer !== undefined) return answer
      const parent = this.#facts.blocks[fn]?.parent ?? -1
      fn = parent < 0 || parent >= fn ? -1 : this.#file.functionOf(parent)
    }
    return undefined
  }

  /** What an expression gives: the container, or something of it. */
  #valueMeaning(value: Value, block: number, hops = 0): Meaning | undefined {
    if (hops > 4) return undefined
    if (value.kind === 'await') return this.#valueMeaning(value.value, block, hops + 1)
    if (value.kind === 'operation' && /^(?:\|\||\?\?|or|\?:)$/.test(value.operator))
      return this.#valueMeaning(value.left, block, hops + 1) ?? this.#valueMeaning(value.right, block, hops + 1)
    if (value.kind === 'path') {
      const meant = this.#meaning(value.path, block)
      return meant && { found: meant.found, depth: meant.depth + meant.rest.length }
    }
    const call = value.kind === 'call' ? this.#facts.calls[value.call] : undefined
    if (call === undefined) return undefined
    if (
      /^(?:list|sorted|Array\.from|Object\.(?:values|entries|keys))$/.test(call.callee.text) &&
      call.args[0] !== undefined
    ) {
      const inner = this.#valueMeaning(call.args[0], block, hops + 1)
      return inner && { found: inner.found, depth: inner.depth + 1 }
    }
    const meant = this.#calleeMeaning(call)
    return meant !== undefined && READING.test(meant.verb) ? { found: meant.found, depth: meant.depth + 1 } : undefined
  }

  /** What a method is called on. `verb`: the method. */
  #calleeMeaning(call: Call, hops = 0): (Meaning & { readonly verb: string; readonly part: string }) | undefined {
    const { callee, on, block } = call
    if (callee.text.startsWith('().')) {
      const before = this.#facts.calls[on]
      const meant = before === undefined || hops > 4 ? undefined : this.#calleeMeaning(before, hops + 1)
      if (meant === undefined || !READING.test(meant.verb)) return undefined
      const names = callee.text.split('.').slice(1)
      return {
        found: meant.found,
        depth: meant.depth + names.length,
        verb: names.at(-1) ?? '',
        part: partOf(names.slice(0, -1)),
      }
    }
    const meant = this.#meaning(callee, block)
    const verb = meant?.rest.at(-1)
    if (meant === undefined || verb === undefined) return undefined
    const part = partOf(meant.rest.slice(0, -1))
    return { found: meant.found, depth: meant.depth + meant.rest.length - 1, verb, part }
  }

  #alias(key: string, name: string, meant: Meaning): void {
    this.#aliases.set(key, meant)
    this.#names.add(name)
  }

  #readAliases(): void {
    const add = (block: number, name: string, meant: Meaning | undefined): void => {
      const fn = this.#file.functionOf(block)
      if (meant !== undefined && fn !== -1 && name !== '' && !name.includes('.'))
        this.#alias(`${fn} ${name}`, name, meant)
    }
    // A name that is also bound to something of its own is none.
    const own = new Set<string>()
    for (const { target, value, block, operator } of this.#facts.assignments) {
      if (target.isOwn || target.root === 'module' || operator !== '=') continue
      const meant = this.#valueMeaning(value, block)
      const key = `${this.#file.functionOf(block)} ${target.text}`
      if (meant === undefined && value.kind !== 'null') own.add(key)
      add(block, target.text, meant)
    }
    for (const key of own) this.#aliases.delete(key)
    for (const [block, { kind, test, binds, parent }] of this.#facts.blocks.entries()) {
      if (kind !== 'loop' || test === undefined || binds === undefined) continue
      const meant = this.#valueMeaning(test, parent)
      const names = binds.split(',')
      if (meant !== undefined)
        add(block, names.at(-1)?.trim() ?? '', { found: meant.found, depth: Math.max(1, meant.depth) })
    }
    for (const call of this.#facts.calls) {
      const meant = /\.forEach$/.test(call.callee.text) ? this.#calleeMeaning(call) : undefined
      const [callback] = call.args
      const fn = callback?.kind === 'function' ? this.#facts.blocks[callback.block]?.fn : undefined
      if (meant !== undefined && callback?.kind === 'function' && fn?.params[0] !== undefined)
        this.#alias(`${callback.block} ${fn.params[0]}`, fn.params[0], { found: meant.found, depth: meant.depth + 1 })
    }
  }

  #readCall(call: Call): void {
    const { line, endLine, block, args, named, callee } = call
    const place = { file: this.#path, line, endLine, block }
    const meant = this.#calleeMeaning(call)
    if (meant !== undefined) {
      const { verb, depth } = meant
      const isKeyed = KEYED_GROWTH.test(verb)
      if (isKeyed || LIST_GROWTH.test(verb)) {
        const how = depth === 0 ? 'grow' : 'fill'
        const key = args[0] ?? { kind: 'null' }
        // What is cut before it is kept keeps its bound.
        const isCut = args.some(
          (arg) => arg.kind === 'call' && /\.(?:slice|splice)$/.test(this.#facts.calls[arg.call]?.callee.text ?? ''),
        )
        if (!this.#isKnown(meant.found, key, isKeyed && depth === 0, block))
          meant.found.uses.push({ ...place, how, key, isKeyed, part: meant.part })
        // QU9. `counts[ip].append(now)`: what has a default comes into being when it is asked for.
        if (how === 'fill' && meant.depth === 1 && meant.found.container.hasDefault && /\.\[\]\.\w+$/.test(callee.text))
          meant.found.uses.push({ ...place, how: 'grow', isKeyed: true })
        if (isCut) meant.found.uses.push({ ...place, how: 'trim', part: '' })
      } else if (TAKING.test(verb))
        meant.found.uses.push({ ...place, how: depth === 0 ? 'take' : 'trim', call, part: meant.part })
    }
    for (const [index, arg] of [...args, ...named.map(([, value]) => value)].entries()) {
      this.#readSizes(arg, place)
      const given = arg.kind === 'path' ? this.#meaning(arg.path, block) : undefined
      // `task.add_done_callback(tasks.discard)`: taken out by whom it is given to.
      if (given !== undefined && TAKING.test(given.rest.at(-1) ?? ''))
        given.found.uses.push({ ...place, how: given.depth + given.rest.length === 1 ? 'take' : 'trim', part: '' })
      if (given === undefined || given.depth > 0 || given.rest.length > 0 || LOOKING.test(callee.text)) continue
      given.found.uses.push({ ...place, how: 'hand', call, arg: index })
    }
  }

  /** A key that is in it already: that of what was read from it, or behind a test that it is there. */
  #isKnown(found: Uses, key: Value, isKey: boolean, block: number): boolean {
    if (!isKey) return false
    const from = key.kind === 'path' ? this.#meaning(key.path, block) : undefined
    return (
      (from?.found === found && from.depth > 0) ||
      isBehindTest(this.#facts, block, (test) => this.#isIn(test, found, block))
    )
  }

  /** `c.has(k)`, `k in c`, `c.get(k)`. */
  #isIn(test: Value, found: Uses, block: number): boolean {
    if (test.kind === 'operation' && (test.operator === '&&' || test.operator === 'and'))
      return this.#isIn(test.left, found, block) || this.#isIn(test.right, found, block)
    if (test.kind === 'operation' && test.operator === 'in')
      return this.#valueMeaning(test.right, block)?.found === found
    const call = test.kind === 'call' ? this.#facts.calls[test.call] : undefined
    const meant = call === undefined ? undefined : this.#calleeMeaning(call)
    if (meant !== undefined) return meant.found === found && meant.depth === 0 && /^(?:has|get)$/.test(meant.verb)
    if (test.kind !== 'path') return false
    const value = this.#meaning(test.path, block)
    return value?.found === found && value.depth > 0
  }

  #readAssignment({ target, operator, value, isDeclaration, line, endLine, block }: Assignment): void {
    const place = { file: this.#path, line, endLine, block }
    this.#readSizes(value, place)
    const isAlias = !target.isOwn && target.root !== 'module' && !target.text.includes('.')
    const meant = isAlias && operator === '=' && isDeclaration ? undefined : this.#meaning(target, block)
    if (meant === undefined) return
    const { found, rest } = meant
    const depth = meant.depth + rest.length
    const last = rest.at(-1)
    if (operator === 'delete') {
      if (depth > 0) found.uses.push({ ...place, how: depth === 1 ? 'take' : 'trim', part: partOf(rest) })
    } else if (last === 'length')
      found.uses.push({ ...place, how: depth === 1 ? 'take' : 'trim', part: partOf(rest.slice(0, -1)) })
    else if (depth === 0) {
      const grows = operator === '+=' || (value.kind === 'list' && value.hasSpread)
      const isBirth = found.container.at.line === line || isOfConstructor(this.#file, block)
      if (grows) found.uses.push({ ...place, how: 'grow', key: value, isKeyed: false })
      else if (!isBirth) found.uses.push({ ...place, how: 'take' })
    } else if (last === '[]') {
      const isThere = isBehindTest(this.#facts, block, (test) => this.#isIn(test, found, block))
      if (this.#isComputed(value, found, block)) found.uses.push({ ...place, how: 'trim', part: partOf(rest) })
      if (depth > 1 || !isThere)
        found.uses.push({ ...place, how: depth === 1 ? 'grow' : 'fill', isKeyed: true, part: partOf(rest) })
    } else if (operator === '=' && rest.length > 0) found.uses.push({ ...place, how: 'trim', part: partOf(rest) })
  }

  /** What stands under a key is replaced by something that was made anew, or bounded; not by an empty one, nor by itself. */
  #isComputed(value: Value, found: Uses, block: number): boolean {
    if (isBoundedValue(this.#facts, value)) return true
    const same = this.#valueMeaning(value, block)
    if (same?.found === found) return same.depth > 1 || value.kind !== 'path' || value.path.text.endsWith('.[]')
    return value.kind !== 'number' && value.kind !== 'boolean' && !isContainer(this.#facts, value)
  }

  /** A comparison with a size, but for "is there anything". */
  #readSizes(value: Value, place: Place, hops = 0): void {
    if (hops > 8) return
    if (value.kind === 'not' || value.kind === 'await') return this.#readSizes(value.value, place, hops + 1)
    if (value.kind !== 'operation') return
    this.#readSizes(value.left, place, hops + 1)
    this.#readSizes(value.right, place, hops + 1)
    if (!COMPARING.test(value.operator)) return
    for (const [side, other] of [
      [value.left, value.right],
      [value.right, value.left],
    ] as const) {
      if (other.kind === 'number' && other.value <= 1) continue
      const sized = this.#sized(side, place)
      // What is in it has a bound then; it itself may hold as many of those as there are keys.
      if (sized !== undefined)
        sized.found.uses.push({
          ...place,
          file: this.#path,
          ...(sized.depth > 0 ? { how: 'trim', part: '' } : { how: 'size' }),
        })
    }
  }

  #sized(value: Value, { block, line }: Pick<Place, 'block' | 'line'>): Meaning | undefined {
    if (value.kind === 'path') {
      const { text } = value.path
      if (text === '().length') return this.#counted(line)
      const named = /^(.+)\.(?:size|length)$/.exec(text)?.[1]
      if (named !== undefined) return this.#valueMeaning({ kind: 'path', path: { ...value.path, text: named } }, block)
      return this.#sizeNamed(text, block)
    }
    if (value.kind === 'operation')
      return this.#sized(value.left, { block, line }) ?? this.#sized(value.right, { block, line })
    const call = value.kind === 'call' ? this.#facts.calls[value.call] : undefined
    const [arg] = call?.args ?? []
    return call?.callee.text === 'len' && arg !== undefined ? this.#valueMeaning(arg, block) : undefined
  }

  /** `const n = list.length`, compared later. */
  #sizeNamed(name: string, block: number): Meaning | undefined {
    return name.includes('.') ? undefined : this.#outwards(block, (fn) => this.#sizes.get(`${fn} ${name}`))
  }

  /** `Object.keys(c).length`: the call stands on the line of the comparison, or just before. */
  #counted(line: number): Meaning | undefined {
    return this.#counts.get(line) ?? this.#counts.get(line - 1)
  }

  #readCounts(): void {
    for (const { callee, args, use, line, block } of this.#facts.calls) {
      if (use !== 'chained' || !/^Object\.(?:keys|values|entries)$/.test(callee.text)) continue
      const found = args[0] === undefined ? undefined : this.#valueMeaning(args[0], block)
      if (found !== undefined) this.#counts.set(line, found)
    }
    for (const { target, value, block, line } of this.#facts.assignments) {
      if (target.isOwn || target.text.includes('.') || !isSize(this.#facts, value)) continue
      const found = this.#sized(value, { block, line })
      if (found !== undefined) this.#sizes.set(`${this.#file.functionOf(block)} ${target.text}`, found)
    }
  }
}

function isSize({ calls }: FileFacts, value: Value): boolean {
  if (value.kind === 'path') return /\.(?:size|length)$/.test(value.path.text)
  return value.kind === 'call' && calls[value.call]?.callee.text === 'len'
}
