// Facts as bytes, small and quick to read: they cross threads and are kept in the cache this way. Plain data is written as a table of what it is made
// of, every part after the parts that it holds, equal parts once; so what comes back also shares what is equal, which halves the memory of facts
// (1 M lines of TypeScript: 210 MB as JSON gives them). Nothing here knows what facts look like: a field that somebody adds needs nothing.
// Layout: length of the strings, the strings as a JSON list, then numbers of 7 bits a byte: shapes, parts, root.
// Invariants:
//   CP1. What is read is what was written, whatever plain data it is; fields that are undefined are left out, as JSON does.
//   CP2. Bytes that were not written here throw, in time linear in their length; they are data, and can't become anything else.

type PlainObject = { readonly [key: string]: Plain | undefined }
type Plain = string | number | boolean | null | readonly Plain[] | PlainObject

const NULL = 0
const TRUE = 1
const FALSE = 2
const FIRST_STRING = 3
/** A shape that is none: a list. */
const LIST = 0
const NUMBER = '#number'
const NUMBER_BYTES_MAX = 5
/** Longer lists are not looked for among those that are there. */
const EQUAL_FIELDS_MAX = 4

/** Keys in their order, as a path from the first to the last. */
interface Keys {
  readonly next: Map<string, Keys>
  readonly names: readonly string[]
  /** The one that followed last: mostly the one that follows now. */
  last: Keys | undefined
  readonly name: string
  /** 0: no object has just these. */
  shape: number
}

class Writer {
  readonly #strings = new Map<string, number>()
  readonly #first: Keys = keysOf([])
  readonly #shapes: (readonly string[])[] = []
  /** Parts one after the other, and where each begins. */
  readonly #parts: number[] = []
  readonly #starts: number[] = []
  /** Parts that are being written, the innermost last. */
  readonly #open: number[] = []
  /** Of what has been written, by hash: the part's number + 1. */
  #equal = new Int32Array(1 << 10)
  #equalCount = 0

  /** Odd: a small number itself. Else a string or constant, or (with 2) a part. */
  refer(value: Plain | undefined): number {
    switch (typeof value) {
      case 'string':
        return this.#string(value) * 4
      case 'number':
        return Number.isInteger(value) && value >= -1 && value < 1 << 28 ? (value + 1) * 2 + 1 : this.#number(value)
      case 'boolean':
        return (value ? TRUE : FALSE) * 4
      default:
        if (value === null || value === undefined) return NULL
        return (Array.isArray(value) ? this.#list(value) : this.#object(value as PlainObject)) * 4 + 2
    }
  }

  #string(text: string): number {
    const known = this.#strings.get(text)
    if (known !== undefined) return known
    const id = this.#strings.size + FIRST_STRING
    this.#strings.set(text, id)
    return id
  }

  /** Fractions and large ones are few: their text, under a shape of their own. */
  #number(value: number): number {
    const from = this.#open.length
    this.#open.push(this.#shapeOf(this.#key(this.#first, NUMBER)), this.#string(String(value)) * 4)
    return this.#close(from, true) * 4 + 2
  }

  #list(list: readonly Plain[]): number {
    const from = this.#open.length
    this.#open.push(LIST, list.length)
    for (const item of list) this.#open.push(this.refer(item))
    return this.#close(from, list.length <= EQUAL_FIELDS_MAX)
  }

  #object(object: PlainObject): number {
    const from = this.#open.length
    let keys = this.#first
    this.#open.push(0)
    for (const key in object) {
      const inner = object[key]
      if (inner === undefined) continue
      keys = this.#key(keys, key)
      this.#open.push(this.refer(inner))
    }
    this.#open[from] = this.#shapeOf(keys)
    // What has a line is hardly ever there twice: not worth looking for.
    return this.#close(from, object.line === undefined)
  }

  #key(keys: Keys, name: string): Keys {
    const { last } = keys
    if (last !== undefined && last.name === name) return last
    const found = keys.next.get(name) ?? keysOf([...keys.names, name])
    keys.next.set(name, found)
    keys.last = found
    return found
  }

  #shapeOf(keys: Keys): number {
    if (keys.shape === 0) keys.shape = this.#shapes.push(keys.names)
    return keys.shape
  }

  /** The number of the part that was begun at `from`: of an equal one that is there already, if it is looked for. */
  #close(from: number, isLookedFor: boolean): number {
    if (!isLookedFor) return this.#add(from)
    if (this.#equalCount * 2 > this.#equal.length) this.#grow()
    const mask = this.#equal.length - 1
    for (let slot = hash(this.#open, from, this.#open.length) & mask; ; slot = (slot + 1) & mask) {
      const part = (this.#equal[slot] as number) - 1
      if (part === -1) {
        this.#equalCount += 1
        this.#equal[slot] = this.#starts.length + 1
        return this.#add(from)
      }
      if (this.#isEqual(part, from)) {
        this.#open.length = from
        return part
      }
    }
  }

  #add(from: number): number {
    this.#starts.push(this.#parts.length)
    for (let at = from; at < this.#open.length; at++) this.#parts.push(this.#open[at] as number)
    this.#open.length = from
    return this.#starts.length - 1
  }

  #isEqual(part: number, from: number): boolean {
    const start = this.#starts[part] as number
    const length = (this.#starts[part + 1] ?? this.#parts.length) - start
    if (length !== this.#open.length - from) return false
    for (let at = 0; at < length; at++) if (this.#parts[start + at] !== this.#open[from + at]) return false
    return true
  }

  #grow(): void {
    const before = this.#equal
    const mask = before.length * 2 - 1
    this.#equal = new Int32Array(before.length * 2)
    for (const numbered of before) {
      if (numbered === 0) continue
      let slot =
        hash(this.#parts, this.#starts[numbered - 1] as number, this.#starts[numbered] ?? this.#parts.length) & mask
      while (this.#equal[slot] !== 0) slot = (slot + 1) & mask
      this.#equal[slot] = numbered
    }
  }

  finish(root: number): Uint8Array {
    const shapes = this.#shapes.flatMap((names) => [names.length, ...names.map((name) => this.#string(name))])
    const strings = Buffer.from(JSON.stringify([...this.#strings.keys()]))
    const lists = [[this.#shapes.length], shapes, [this.#starts.length], this.#parts, [root]]
    const numbers = lists.reduce((sum, { length }) => sum + length, 0)
    const all = new Uint8Array(4 + strings.length + numbers * NUMBER_BYTES_MAX)
    new DataView(all.buffer).setUint32(0, strings.length)
    all.set(strings, 4)
    let at = 4 + strings.length
    for (const list of lists) at = writeNumbers(all, at, list)
    // What changes hands does so with all its room.
    return all.slice(0, at)
  }
}

function keysOf(names: readonly string[]): Keys {
  return { next: new Map(), names, name: names.at(-1) ?? '', last: undefined, shape: 0 }
}

function writeNumbers(bytes: Uint8Array, from: number, numbers: readonly number[]): number {
  let at = from
  for (let index = 0; index < numbers.length; index++) {
    let rest = numbers[index] as number
    while (rest > 127) {
      bytes[at++] = (rest & 127) | 128
      rest >>>= 7
    }
    bytes[at++] = rest
  }
  return at
}

function hash(numbers: readonly number[], from: number, to: number): number {
  let mixed = 17
  for (let at = from; at < to; at++) mixed = Math.imul(mixed ^ (numbers[at] as number), 0x9e3779b1)
  return (mixed ^ (mixed >>> 15)) >>> 0
}

/** Bytes of plain data: what JSON can hold. */
export function writeCompact(value: object): Uint8Array {
  const writer = new Writer()
  return writer.finish(writer.refer(value as Plain))
}

interface Shape {
  readonly keys: readonly string[]
  /** Copied, so that what is made has room for its fields and for nothing more. */
  readonly template: Record<string, unknown>
}

class Reader {
  readonly #bytes: Uint8Array
  readonly #strings: readonly string[]
  #at: number

  constructor(bytes: Uint8Array, strings: readonly string[], at: number) {
    this.#bytes = bytes
    this.#strings = strings
    this.#at = at
  }

  next(): number {
    let number = 0
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.#bytes[this.#at++]
      if (byte === undefined) break
      number |= (byte & 127) << shift
      if (byte < 128) return number >>> 0
    }
    throw new Error('cut short')
  }

  string(id: number): string {
    const text = this.#strings[id - FIRST_STRING]
    if (text === undefined) throw new Error('no such string')
    return text
  }

  refer(parts: readonly unknown[]): unknown {
    const reference = this.next()
    if ((reference & 1) === 1) return (reference >>> 1) - 1
    const id = reference >>> 2
    if ((reference & 2) === 0) return id === NULL ? null : id === TRUE ? true : id === FALSE ? false : this.string(id)
    // Only what stands before: no circles.
    if (id >= parts.length) throw new Error('no such part')
    return parts[id]
  }

  shapes(known: Map<string, Shape>): readonly Shape[] {
    const count = this.next()
    const shapes: Shape[] = []
    for (let index = 0; index < count; index++) {
      const keys: string[] = []
      for (let left = this.next(); left > 0; left--) keys.push(this.string(this.next()))
      const joined = JSON.stringify(keys)
      const shape = known.get(joined) ?? shapeOf(keys)
      known.set(joined, shape)
      shapes.push(shape)
    }
    return shapes
  }

  get left(): number {
    return this.#bytes.length - this.#at
  }
}

function shapeOf(keys: readonly string[]): Shape {
  if (keys.includes('__proto__')) throw new Error('no field of data')
  return { keys, template: JSON.parse(`{${keys.map((key) => `${JSON.stringify(key)}:null`).join()}}`) }
}

/** What many files have in common. */
export interface Shared {
  readonly shapes: Map<string, Shape>
}

export function createShared(): Shared {
  return { shapes: new Map() }
}

/** CP2. */
export function readCompact(bytes: Uint8Array, { shapes: known } = createShared()): unknown {
  const length = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(0)
  const end = 4 + length
  if (end > bytes.length) throw new Error('cut short')
  const own = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const strings: unknown = JSON.parse(own.toString('utf8', 4, end))
  if (!Array.isArray(strings) || !strings.every((text) => typeof text === 'string')) throw new Error('no strings')
  const reader = new Reader(bytes, strings, end)
  const shapes = reader.shapes(known)
  const count = reader.next()
  const parts: unknown[] = []
  for (let index = 0; index < count; index++) parts.push(readPart(reader, shapes, parts))
  const root = reader.refer(parts)
  if (reader.left > 0) throw new Error('too long')
  return root
}

const NOTHING: readonly unknown[] = Object.freeze([])

function readPart(reader: Reader, shapes: readonly Shape[], parts: readonly unknown[]): unknown {
  const shape = reader.next()
  if (shape === LIST) {
    const length = reader.next()
    if (length === 0) return NOTHING
    if (length > reader.left) throw new Error('cut short')
    const list: unknown[] = new Array(length)
    for (let index = 0; index < length; index++) list[index] = reader.refer(parts)
    return list
  }
  const known = shapes[shape - 1]
  if (known === undefined) throw new Error('no such shape')
  const { keys, template } = known
  if (keys[0] === NUMBER) return Number(reader.refer(parts))
  const object = { ...template }
  for (let index = 0; index < keys.length; index++) object[keys[index] as string] = reader.refer(parts)
  return object
}
