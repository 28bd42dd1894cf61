// The plain form of a schema, in which two schemas can be compared: references written out, annotations gone, and where JSON Schema has
// several ways to say one thing, one of them. Sets are sorted. The bounds of parseSchema keep it small.

import { ANNOTATIONS, definitionOf, isObject, type JsonSchema, SUBSCHEMAS } from './schema-check.ts'

/** `false`: nothing is valid. `{}`: everything is. */
export type Form = false | { readonly [keyword: string]: unknown }

/** Keywords that apply schemas to the same value, and so may say something about the same properties. */
export const IN_PLACE = ['allOf', 'anyOf', 'oneOf', 'not', 'if', 'then', 'else', 'dependentSchemas'] as const

const TYPES = ['array', 'boolean', 'fraction', 'integer', 'null', 'object', 'string']
/** What says nothing, if it has this value. */
const DEFAULTS: Readonly<Record<string, unknown>> = { minLength: 0, minItems: 0, minProperties: 0, uniqueItems: false }

export function formOf(root: JsonSchema, schema: unknown = root): Form {
  if (schema === true) return {}
  if (!isObject(schema)) return false
  const form: Record<string, unknown> = {}
  for (const [keyword, value] of Object.entries(schema)) {
    if (ANNOTATIONS.includes(keyword) || keyword === '$ref' || DEFAULTS[keyword] === value) continue
    const how = SUBSCHEMAS[keyword]
    if (how === 'one') form[keyword] = formOf(root, value)
    else if (how === 'list') form[keyword] = (value as unknown[]).map((part) => formOf(root, part))
    else if (how === 'map')
      form[keyword] = new Map(Object.entries(value as object).map(([name, part]) => [name, formOf(root, part)]))
    else form[keyword] = value
  }
  if ('const' in form && !('enum' in form)) {
    form.enum = [form.const]
    delete form.const
  }
  if (Array.isArray(form.enum)) form.enum = sortedSet(form.enum)
  if (Array.isArray(form.required)) form.required = sortedSet(form.required)
  form.type = typesOf(form)
  if ((form.type as unknown[]).length === TYPES.length) delete form.type
  for (const keyword of ['items', 'propertyNames', 'required', 'properties'])
    if (isEmpty(form[keyword])) delete form[keyword]
  return settled(form, '$ref' in schema ? formOf(root, definitionOf(root, schema.$ref)) : undefined)
}

function isEmpty(value: unknown): boolean {
  if (Array.isArray(value)) return value.length === 0
  return value instanceof Map ? value.size === 0 : isObject(value) && Object.keys(value).length === 0
}

/** Of the types that are allowed those that the enumeration has; `number` is integers and fractions. */
function typesOf({ type = TYPES, enum: values }: Readonly<Record<string, unknown>>): readonly string[] {
  const named = (Array.isArray(type) ? type : [type]) as readonly string[]
  const types = named.flatMap((name) => (name === 'number' ? ['fraction', 'integer'] : [name]))
  const held = Array.isArray(values) ? new Set(values.map(typeOf)) : undefined
  return [...new Set(types)].filter((name) => held?.has(name) !== false).sort()
}

function typeOf(value: unknown): string {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'array'
  if (typeof value === 'number') return Number.isInteger(value) ? 'integer' : 'fraction'
  return typeof value
}

/** With what a reference leads to, and with branches of allOf that can be written beside the rest. */
function settled(form: Record<string, unknown>, referred: Form | undefined): Form {
  if (referred !== undefined && Object.keys(form).length === 0) return referred
  const branches = [...((form.allOf as Form[] | undefined) ?? []), ...(referred === undefined ? [] : [referred])]
  const { allOf: _, ...rest } = form
  let merged: Record<string, unknown> = rest
  const left: Form[] = []
  for (const branch of branches) {
    if (branch !== false && isMergeable(merged, branch)) merged = merge(merged, branch)
    else left.push(branch)
  }
  if (left.length > 0) merged.allOf = left
  const { unevaluatedProperties, ...others } = merged
  const isAlone = !('additionalProperties' in merged) && IN_PLACE.every((keyword) => !(keyword in merged))
  return unevaluatedProperties === undefined || !isAlone
    ? merged
    : { ...others, additionalProperties: unevaluatedProperties }
}

const LOOKS_AROUND = [
  'allOf',
  'additionalProperties',
  'unevaluatedProperties',
  'unevaluatedItems',
  'items',
  'if',
  'contains',
]

function isMergeable(form: Readonly<Record<string, unknown>>, branch: Readonly<Record<string, unknown>>): boolean {
  if (LOOKS_AROUND.some((keyword) => keyword in form || keyword in branch)) return false
  const names = (one: Readonly<Record<string, unknown>>) => [
    ...((one.properties as Map<string, Form> | undefined)?.keys() ?? []),
  ]
  if (names(branch).some((name) => names(form).includes(name))) return false
  return Object.keys(branch).every(
    (keyword) =>
      !(keyword in form) ||
      ['properties', 'required'].includes(keyword) ||
      textOf(form[keyword]) === textOf(branch[keyword]),
  )
}

function merge(
  form: Readonly<Record<string, unknown>>,
  branch: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  const merged: Record<string, unknown> = { ...form, ...branch }
  const properties = [
    ...((form.properties as Map<string, Form>) ?? []),
    ...((branch.properties as Map<string, Form>) ?? []),
  ]
  const required = [...((form.required as string[]) ?? []), ...((branch.required as string[]) ?? [])]
  if (properties.length > 0) merged.properties = new Map(properties)
  if (required.length > 0) merged.required = sortedSet(required)
  return merged
}

function sortedSet(values: readonly unknown[]): unknown[] {
  const byText = new Map(values.map((value) => [textOf(value), value]))
  return [...byText.keys()].sort().map((text) => byText.get(text))
}

/** The same for values that are equal, whatever the order of their keys. */
export function textOf(value: unknown): string {
  return JSON.stringify(value, (_, entry: unknown) => {
    if (entry instanceof Map) return { map: [...entry].sort(([a], [b]) => (a < b ? -1 : 1)) }
    if (!isObject(entry)) return entry
    return Object.fromEntries(Object.entries(entry).sort(([a], [b]) => (a < b ? -1 : 1)))
  })
}
