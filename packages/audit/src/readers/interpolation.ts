// Interpolation of compose files: ${V} $V ${V:-d} ${V-d} ${V:?e} ${V?e} ${V:+r} ${V+r}, nested in their words, and $$ for a dollar.
//   CX2. Every form gives what the specification says for a variable that is unset, empty or set, and says which names were left without a value.

const DEPTH_MAX = 20
/** Longer texts are taken as they are. */
const TEXT_MAX = 10_000
const NAME = /^[A-Za-z_][A-Za-z0-9_]*/

export interface Interpolated {
  readonly text: string
  /** Names without value and without a word for that case. */
  readonly unset: readonly string[]
}

/** A use of a variable, as written. */
export interface VariableUse {
  readonly name: string
  readonly operator: '' | ':-' | '-' | ':?' | '?' | ':+' | '+'
  /** Not yet interpolated. */
  readonly word: string
}

export type Lookup = (name: string) => string | undefined

export function interpolate(raw: string, lookup: Lookup): Interpolated {
  const unset: string[] = []
  return { text: expand(raw, lookup, unset, 0), unset }
}

function expand(raw: string, lookup: Lookup, unset: string[], depth: number): string {
  if (!raw.includes('$') || depth > DEPTH_MAX || raw.length > TEXT_MAX) return raw
  let out = ''
  for (const part of parts(raw)) {
    if (typeof part === 'string') out += part
    else out += resolve(part, lookup, unset, depth)
  }
  return out
}

function resolve(use: VariableUse, lookup: Lookup, unset: string[], depth: number): string {
  const value = lookup(use.name)
  const isEmptyUnset = use.operator.startsWith(':')
  const isSet = value !== undefined && !(isEmptyUnset && value === '')
  switch (use.operator) {
    case ':-':
    case '-':
      return isSet ? value : expand(use.word, lookup, unset, depth + 1)
    case ':+':
    case '+':
      return isSet ? expand(use.word, lookup, unset, depth + 1) : ''
    case ':?':
    case '?':
      // Compose refuses to start: nothing runs without it.
      return value ?? ''
    case '':
      if (value === undefined) unset.push(use.name)
      return value ?? ''
    default:
      return use.operator satisfies never
  }
}

/** Fixed text and uses of variables, in order. What is no variable stays as it is. */
export function parts(raw: string): readonly (string | VariableUse)[] {
  const found: (string | VariableUse)[] = []
  let from = 0
  let at = raw.indexOf('$')
  while (at !== -1 && at < raw.length - 1) {
    const next = raw[at + 1]
    if (next === '$') {
      found.push(`${raw.slice(from, at)}$`)
      from = at + 2
    } else {
      const end = next === '{' ? closing(raw, at + 2) : -1
      const use = next === '{' ? (end === -1 ? undefined : parseUse(raw.slice(at + 2, end))) : bare(raw.slice(at + 1))
      if (use !== undefined) {
        found.push(raw.slice(from, at), use)
        from = next === '{' ? end + 1 : at + 1 + use.name.length
      }
    }
    at = raw.indexOf('$', Math.max(from, at + 1))
  }
  found.push(raw.slice(from))
  return found
}

function bare(text: string): VariableUse | undefined {
  const name = NAME.exec(text)?.[0]
  return name === undefined ? undefined : { name, operator: '', word: '' }
}

function parseUse(inside: string): VariableUse | undefined {
  const name = NAME.exec(inside)?.[0]
  if (name === undefined) return undefined
  const rest = inside.slice(name.length)
  if (rest === '') return { name, operator: '', word: '' }
  const operator = /^(:-|:\?|:\+|-|\?|\+)/.exec(rest)?.[0] as VariableUse['operator'] | undefined
  return operator === undefined ? undefined : { name, operator, word: rest.slice(operator.length) }
}

/** Of the brace that was opened before `from`; -1: it never closes. */
function closing(raw: string, from: number): number {
  let depth = 1
  for (let index = from; index < raw.length; index += 1) {
    if (raw[index] === '$' && raw[index + 1] === '{') depth += 1
    else if (raw[index] === '}') {
      depth -= 1
      if (depth === 0) return index
    }
  }
  return -1
}

/** All uses, those in words of others included. */
export function variableUses(raw: string): readonly VariableUse[] {
  return raw.includes('$') && raw.length <= TEXT_MAX ? collect(raw, 0) : []
}

function collect(raw: string, depth: number): VariableUse[] {
  if (depth > DEPTH_MAX) return []
  return parts(raw).flatMap((part) => (typeof part === 'string' ? [] : [part, ...collect(part.word, depth + 1)]))
}
