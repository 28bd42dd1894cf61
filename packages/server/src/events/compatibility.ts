// What a new version of a schema changes for those who live by the one before.
// We keep both sides ("full" compatibility), because an event type has publishers and consumers that nobody can change at the same time:
//   publishers: what was valid stays valid;
//   consumers: what was promised stays promised. A consumer ignores properties that it does not know: that is demanded of every consumer.
// So a new version may add optional properties, let more properties through, and say the same in another way; little else.
// A property that a schema neither declares nor speaks of (by additionalProperties) is outside of the contract: it is let through, promised to nobody,
// and a later version may declare it. Whoever wants it otherwise says additionalProperties: true or false.
// Where two schemas differ in a way that is not understood here (inside oneOf, not, if), the change counts as breaking both.
// Invariants:
//   ET4. Data that is valid under a schema is valid under every version that is accepted after it, undeclared properties aside.
//   ET5. Data that is valid under an accepted version is valid under the one before once the properties that it does not know are taken out.
//   ET6. A schema of a consumer is found to be guaranteed only if all data that is valid under the version fits it.

import { isMatch, isObject, type JsonSchema, pointerPart } from './schema-check.ts'
import { type Form, formOf, IN_PLACE, textOf } from './schema-form.ts'

export type Side = 'publishers' | 'consumers'

export interface Change {
  /** A JSON pointer into the schema, its references written out. */
  readonly pointer: string
  readonly change: string
  /** Empty: it is compatible. */
  readonly breaks: readonly Side[]
}

/** Every change from one version to the next. */
export function compareSchemas(before: JsonSchema, after: JsonSchema): readonly Change[] {
  const found: Change[] = []
  compare({ before: formOf(before), after: formOf(after), at: '', around: '' }, found)
  return found
}

/** What a consumer's schema demands and data that is valid under `version` need not have. Empty: it is guaranteed. */
export function findUnguaranteed(consumer: JsonSchema, version: JsonSchema): readonly Change[] {
  return compareSchemas(consumer, version).filter(({ breaks }) => breaks.includes('consumers'))
}

const PATH = /^[^.[\]]+(?:\[\])*(?:\.[^.[\]]+(?:\[\])*)*$/

/** The schema of a consumer that needs the fields at these paths: `order.lines[].sku`. Undefined for a path that can't be read. */
export function schemaOfPaths(paths: readonly string[]): JsonSchema | undefined {
  const root: NodeOfPaths = { properties: new Map(), items: undefined }
  for (const path of paths) {
    if (!PATH.test(path)) return undefined
    let node = root
    for (const step of path.split('.')) {
      const name = step.replaceAll('[]', '')
      node = node.properties.get(name) ?? added(node.properties, name)
      for (let lists = (step.length - name.length) / 2; lists > 0; lists--)
        node = node.items ??= { properties: new Map(), items: undefined }
    }
  }
  return toSchema(root)
}

interface NodeOfPaths {
  readonly properties: Map<string, NodeOfPaths>
  items: NodeOfPaths | undefined
}

function added(properties: Map<string, NodeOfPaths>, name: string): NodeOfPaths {
  const node: NodeOfPaths = { properties: new Map(), items: undefined }
  properties.set(name, node)
  return node
}

function toSchema({ properties, items }: NodeOfPaths): JsonSchema {
  if (items !== undefined) return { type: 'array', items: toSchema(items) }
  if (properties.size === 0) return {}
  const entries = [...properties].map(([name, node]) => [name, toSchema(node)])
  return { type: 'object', required: [...properties.keys()], properties: Object.fromEntries(entries) }
}

/** Two forms of one place. `around` is the text of what else applies to it, from here up to the root. */
interface Pair {
  readonly before: Form
  readonly after: Form
  readonly at: string
  readonly around: string
}

const PUBLISHERS: readonly Side[] = ['publishers']
const CONSUMERS: readonly Side[] = ['consumers']
const BOTH: readonly Side[] = ['publishers', 'consumers']

function compare(pair: Pair, found: Change[]): void {
  const { before, after, at } = pair
  if (textOf(before) === textOf(after)) return
  if (before === false || after === false) {
    const change = after === false ? 'is not allowed' : 'is allowed'
    found.push({ pointer: at, change, breaks: after === false ? PUBLISHERS : CONSUMERS })
    return
  }
  const inPlace = IN_PLACE.filter((keyword) => keyword in before).map((keyword) => before[keyword])
  const around = inPlace.length === 0 ? pair.around : pair.around + textOf(inPlace)
  const forms = { before, after, at, around }
  for (const keyword of new Set([...Object.keys(before), ...Object.keys(after)])) {
    if (textOf(before[keyword]) === textOf(after[keyword])) continue
    const rule = RULES[keyword] ?? compareOther
    rule({ ...forms, keyword, old: before[keyword], now: after[keyword] }, found)
  }
}

interface Keyword {
  readonly before: Exclude<Form, false>
  readonly after: Exclude<Form, false>
  readonly at: string
  readonly around: string
  readonly keyword: string
  readonly old: unknown
  readonly now: unknown
}

type Rule = (keyword: Keyword, found: Change[]) => void

const TYPES = ['array', 'boolean', 'fraction', 'integer', 'null', 'object', 'string']

const RULES: Readonly<Record<string, Rule>> = {
  type: (pair, found) => compareSets(pair, (pair.old ?? TYPES) as unknown[], (pair.now ?? TYPES) as unknown[], found),
  enum: (pair, found) => {
    if (pair.old === undefined || pair.now === undefined) compareOther(pair, found)
    else compareSets(pair, pair.old as unknown[], pair.now as unknown[], found)
  },
  anyOf: (pair, found) => {
    if (pair.old === undefined || pair.now === undefined) compareOther(pair, found)
    else compareSets(pair, pair.old as unknown[], pair.now as unknown[], found, 'a form')
  },
  // Every branch is demanded: one more is less that is valid.
  allOf: ({ old, now, ...pair }, found) =>
    compareSets({ ...pair, old, now }, (now ?? []) as unknown[], (old ?? []) as unknown[], found, 'a branch', true),
  required: compareRequired,
  properties: compareProperties,
  additionalProperties: compareAdditional,
  patternProperties: comparePatterns,
  items: compareWithin,
  propertyNames: compareWithin,
  minimum: compareBounds(1),
  exclusiveMinimum: compareBounds(1),
  minLength: compareBounds(1),
  minItems: compareBounds(1),
  minProperties: compareBounds(1),
  maximum: compareBounds(-1),
  exclusiveMaximum: compareBounds(-1),
  maxLength: compareBounds(-1),
  maxItems: compareBounds(-1),
  maxProperties: compareBounds(-1),
  // Neither of them only ever adds a demand.
  oneOf: changed,
  prefixItems: changed,
  contains: changed,
  minContains: changed,
  maxContains: changed,
  unevaluatedProperties: changed,
  unevaluatedItems: changed,
  if: changed,
  // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
  then: changed,
  else: changed,
}

function changed({ at, keyword }: Keyword, found: Change[]): void {
  found.push({ pointer: `${at}/${keyword}`, change: 'differs', breaks: BOTH })
}

/** A keyword that can only make less valid: coming it breaks publishers, going it breaks consumers. */
function compareOther({ at, keyword, old, now }: Keyword, found: Change[]): void {
  const pointer = `${at}/${keyword}`
  if (old === undefined) found.push({ pointer, change: `is demanded: ${shown(now)}`, breaks: PUBLISHERS })
  else if (now === undefined) found.push({ pointer, change: `is not promised: ${shown(old)}`, breaks: CONSUMERS })
  else found.push({ pointer, change: `was ${shown(old)}, is ${shown(now)}`, breaks: BOTH })
}

function compareBounds(larger: 1 | -1): Rule {
  return (pair, found) => {
    const { at, keyword, old, now } = pair
    if (typeof old !== 'number' || typeof now !== 'number') return compareOther(pair, found)
    const breaks = (now - old) * larger > 0 ? PUBLISHERS : CONSUMERS
    found.push({ pointer: `${at}/${keyword}`, change: `was ${old}, is ${now}`, breaks })
  }
}

function compareSets(
  { at, keyword }: Keyword,
  old: readonly unknown[],
  now: readonly unknown[],
  found: Change[],
  what = '',
  isDemand = false,
): void {
  const [olds, nows] = [new Set(old.map(textOf)), new Set(now.map(textOf))]
  const pointer = `${at}/${keyword}`
  const name = (text: string): string => (what === '' ? cut(text) : what)
  for (const text of missingIn(olds, nows)) {
    found.push({
      pointer,
      change: isDemand ? `${name(text)} is not promised` : `may be ${name(text)}`,
      breaks: CONSUMERS,
    })
  }
  for (const text of missingIn(nows, olds)) {
    found.push({
      pointer,
      change: isDemand ? `${name(text)} is demanded` : `may not be ${name(text)}`,
      breaks: PUBLISHERS,
    })
  }
}

function compareRequired({ at, old = [], now = [] }: Keyword, found: Change[]): void {
  const [olds, nows] = [new Set(old as string[]), new Set(now as string[])]
  const pointer = (name: string): string => `${at}/properties/${pointerPart(name)}`
  for (const name of missingIn(olds, nows))
    found.push({ pointer: pointer(name), change: 'is required', breaks: PUBLISHERS })
  for (const name of missingIn(nows, olds))
    found.push({ pointer: pointer(name), change: 'may be missing', breaks: CONSUMERS })
}

function compareWithin({ at, around, keyword, old = {}, now = {} }: Keyword, found: Change[]): void {
  compare({ before: old as Form, after: now as Form, at: `${at}/${keyword}`, around }, found)
}

function compareProperties(pair: Keyword, found: Change[]): void {
  const none: ReadonlyMap<string, Form> = new Map()
  const olds = (pair.old ?? none) as ReadonlyMap<string, Form>
  const nows = (pair.now ?? none) as ReadonlyMap<string, Form>
  for (const [name, before] of olds) {
    const after = nows.get(name)
    const at = `${pair.at}/properties/${pointerPart(name)}`
    if (after === undefined) removedProperty(pair, before, at, found)
    else compare({ before, after, at, around: pair.around }, found)
  }
  for (const [name, after] of nows) if (!olds.has(name)) addedProperty(pair, name, after, found)
}

/** What a form says of properties that it does not declare; undefined: nothing. */
function opennessOf(form: Exclude<Form, false>): Form | undefined {
  return (form.additionalProperties ?? form.unevaluatedProperties) as Form | undefined
}

function removedProperty({ after, around }: Keyword, before: Form, at: string, found: Change[]): void {
  const within: Change[] = []
  compare({ before, after: opennessOf(after) ?? {}, at, around }, within)
  const breaks = BOTH.filter((side) => within.some((change) => change.breaks.includes(side)))
  found.push({ pointer: at, change: 'is not declared', breaks })
}

function addedProperty({ before, at: above, around }: Keyword, name: string, after: Form, found: Change[]): void {
  const at = `${above}/properties/${pointerPart(name)}`
  const openness = opennessOf(before)
  if (openness !== undefined && openness !== false) {
    const within: Change[] = []
    compare({ before: openness, after, at, around }, within)
    found.push(...(within.length > 0 ? within : [{ pointer: at, change: 'is new', breaks: [] }]))
    return
  }
  const isFree = textOf(after) === '{}' || !isSpokenOf(name, before, around)
  const breaks = BOTH.filter((side) => (side === 'consumers' ? 'minProperties' in before : !isFree))
  found.push({ pointer: at, change: 'is new', breaks })
}

const SPEAKS_OF_OTHERS = /"(?:additionalProperties|unevaluatedProperties|patternProperties|propertyNames)"/

/** Something else than `properties` already says something of a property of this name: then it is in the contract. */
function isSpokenOf(name: string, before: Exclude<Form, false>, around: string): boolean {
  const { patternProperties, required, dependentRequired } = before
  const patterns = [...((patternProperties as ReadonlyMap<string, Form> | undefined)?.keys() ?? [])]
  if (patterns.some((pattern) => isMatch(pattern, name))) return true
  const beside = around + textOf([required, dependentRequired])
  return beside.includes(JSON.stringify(name)) || SPEAKS_OF_OTHERS.test(around)
}

function compareAdditional({ before, after, at: above, around, old, now }: Keyword, found: Change[]): void {
  const at = `${above}/additionalProperties`
  // Taking the new ones out gives what was valid before, unless something else asks for them.
  const breaks = around === '' ? [] : CONSUMERS
  if (old === false) found.push({ pointer: at, change: 'more properties are let through', breaks })
  else if (now === undefined && isObject(old)) compare({ before: old as Form, after: {}, at, around }, found)
  else if (old === undefined && textOf(now) === '{}')
    found.push({ pointer: at, change: 'all properties are let through', breaks: [] })
  else if (old === undefined)
    found.push({ pointer: at, change: 'undeclared properties are not all let through', breaks: PUBLISHERS })
  else
    compare(
      {
        before: (before.additionalProperties ?? {}) as Form,
        after: (after.additionalProperties ?? {}) as Form,
        at,
        around,
      },
      found,
    )
}

function comparePatterns({ before, at, around, old = new Map(), now = new Map() }: Keyword, found: Change[]): void {
  const [olds, nows] = [old as ReadonlyMap<string, Form>, now as ReadonlyMap<string, Form>]
  const openness = opennessOf(before)
  for (const pattern of new Set([...olds.keys(), ...nows.keys()])) {
    const pointer = `${at}/patternProperties/${pointerPart(pattern)}`
    const [one, other] = [olds.get(pattern), nows.get(pattern)]
    if (one !== undefined && other !== undefined) compare({ before: one, after: other, at: pointer, around }, found)
    else if (one !== undefined) found.push({ pointer, change: 'is not declared', breaks: BOTH })
    else found.push({ pointer, change: 'is new', breaks: openness === undefined ? PUBLISHERS : BOTH })
  }
}

function missingIn(set: ReadonlySet<string>, of: ReadonlySet<string>): readonly string[] {
  return [...of].filter((entry) => !set.has(entry))
}

function shown(value: unknown): string {
  return cut(textOf(value))
}

function cut(text: string): string {
  return text.length > 60 ? `${text.slice(0, 60)}…` : text
}
