// What breaks a client: a pure comparison of two OpenAPI documents of ours. Requests may take more and demand less;
// answers may give more and promise no less.

import type { createOpenApi } from '#platform/http'

export type OpenApi = ReturnType<typeof createOpenApi>
type Operation = OpenApi['paths'][string][string]
type Parameter = Operation['parameters'][number]
type JsonSchema = Parameter['schema']

/** One sentence for each change that breaks a client which was written against `before`. */
export function findBreakingChanges(before: OpenApi, after: OpenApi): string[] {
  const found: string[] = []
  for (const [path, operations] of Object.entries(before.paths)) {
    for (const [method, old] of Object.entries(operations)) {
      const where = `${method.toUpperCase()} ${path}`
      const now = after.paths[path]?.[method]
      if (now === undefined) found.push(`${where} is gone`)
      else compareOperations(where, { operation: old, document: before }, { operation: now, document: after }, found)
    }
  }
  return found
}

interface Side {
  readonly operation: Operation
  readonly document: OpenApi
}

function compareOperations(where: string, before: Side, after: Side, found: string[]): void {
  const old = before.operation
  const now = after.operation
  if (old.security.length === 0 && now.security.length > 0) found.push(`${where} needs an API key now`)
  compareParameters(where, before, after, found)
  const [oldBody, newBody] = [old.requestBody, now.requestBody]
  if (oldBody === undefined && newBody?.required === true) found.push(`${where} needs a body now`)
  for (const [type, { schema }] of Object.entries(oldBody?.content ?? {})) {
    const next = newBody?.content[type]?.schema
    if (next === undefined) found.push(`${where} no longer takes ${type}`)
    else compareSchemas(`${where} body`, 'request', before.document, schema, after.document, next, found)
  }
  for (const [status, { content = {} }] of Object.entries(old.responses)) {
    const next = now.responses[status]
    if (next === undefined) found.push(`${where} no longer answers ${status}`)
    for (const [type, { schema }] of Object.entries(next === undefined ? {} : content)) {
      const answer = next?.content?.[type]?.schema
      if (answer === undefined) found.push(`${where} no longer answers ${status} as ${type}`)
      else compareSchemas(`${where} ${status}`, 'answer', before.document, schema, after.document, answer, found)
    }
  }
}

function compareParameters(where: string, before: Side, after: Side, found: string[]): void {
  const key = ({ name, in: place }: Parameter): string => `${place} parameter ${name}`
  const olds = new Map(before.operation.parameters.map((parameter) => [key(parameter), parameter]))
  const news = new Map(after.operation.parameters.map((parameter) => [key(parameter), parameter]))
  for (const [name, old] of olds) {
    const now = news.get(name)
    if (now === undefined) found.push(`${where}: ${name} is gone`)
    else {
      if (now.required && !old.required) found.push(`${where}: ${name} is required now`)
      compareSchemas(`${where}: ${name}`, 'request', before.document, old.schema, after.document, now.schema, found)
    }
  }
  for (const [name, { required }] of news) {
    if (required && !olds.has(name)) found.push(`${where}: ${name} is required now`)
  }
}

interface Shape {
  readonly types: readonly string[]
  readonly enumeration: readonly unknown[] | undefined
  readonly properties: Readonly<Record<string, JsonSchema>>
  readonly required: ReadonlySet<string>
  readonly items: JsonSchema | undefined
  readonly variants: readonly JsonSchema[]
  readonly closed: boolean
  readonly raw: JsonSchema
}

/** Bounds of a request: [keyword, whether a larger value is narrower]. */
const BOUNDS = [
  ['minimum', true],
  ['maximum', false],
  ['minLength', true],
  ['maxLength', false],
  ['minItems', true],
  ['maxItems', false],
] as const

function compareSchemas(
  where: string,
  side: 'request' | 'answer',
  oldDocument: OpenApi,
  oldSchema: JsonSchema,
  newDocument: OpenApi,
  newSchema: JsonSchema,
  found: string[],
): void {
  const old = shapeOf(oldDocument, oldSchema)
  const now = shapeOf(newDocument, newSchema)
  const descend = (at: string, a: JsonSchema, b: JsonSchema): void =>
    compareSchemas(at, side, oldDocument, a, newDocument, b, found)
  compareTypes(where, side, old, now, found)
  if (side === 'request') compareBounds(where, old, now, found)
  for (const [name, schema] of Object.entries(old.properties)) {
    const next = now.properties[name]
    const at = `${where}.${name}`
    if (next === undefined) {
      if (side === 'answer' || now.closed) found.push(`${at} is gone`)
      continue
    }
    if (side === 'request' && now.required.has(name) && !old.required.has(name)) found.push(`${at} is required now`)
    if (side === 'answer' && old.required.has(name) && !now.required.has(name)) found.push(`${at} may be missing now`)
    descend(at, schema, next)
  }
  if (side === 'request') {
    for (const name of now.required) if (!(name in old.properties)) found.push(`${where}.${name} is required now`)
  }
  if (old.items !== undefined && now.items !== undefined) descend(`${where}[]`, old.items, now.items)
  old.variants.forEach((variant, index) => {
    const next = now.variants[index]
    if (next !== undefined) descend(`${where}(${index + 1})`, variant, next)
    else if (side === 'request') found.push(`${where}: a form that was taken is gone`)
  })
}

/** Requests may be taken in more types and values, answers may be given in fewer. */
function compareTypes(where: string, side: 'request' | 'answer', old: Shape, now: Shape, found: string[]): void {
  const [wider, narrower] = side === 'request' ? [old, now] : [now, old]
  const missing = wider.types.filter((type) => !narrower.types.includes(type) && narrower.types.length > 0)
  const change = `${old.types.join(' or ') || 'anything'} became ${now.types.join(' or ') || 'anything'}`
  if (missing.length > 0) found.push(`${where}: ${change}`)
  else if (narrower.types.length > 0 && wider.types.length === 0) found.push(`${where}: ${change}`)
  if (narrower.enumeration === undefined) return
  const values = wider.enumeration?.filter((value) => !narrower.enumeration?.includes(value))
  const verb = side === 'request' ? 'no longer takes' : 'may answer'
  if (values === undefined)
    found.push(`${where} ${side === 'request' ? 'takes fewer values now' : 'may answer anything now'}`)
  else
    for (const value of values)
      found.push(`${where} ${verb} ${JSON.stringify(value)}${side === 'answer' ? ' now' : ''}`)
}

function compareBounds(where: string, old: Shape, now: Shape, found: string[]): void {
  for (const [keyword, largerIsNarrower] of BOUNDS) {
    const [before, after] = [old.raw[keyword], now.raw[keyword]]
    if (typeof after !== 'number') continue
    const narrowed = typeof before !== 'number' || (largerIsNarrower ? after > before : after < before)
    if (narrowed) found.push(`${where}: ${keyword} is ${after} now, was ${before ?? 'unbounded'}`)
  }
  if (now.raw.pattern !== undefined && now.raw.pattern !== old.raw.pattern)
    found.push(`${where}: another pattern is demanded now`)
  if (now.closed && !old.closed) found.push(`${where}: unknown fields are refused now`)
}

function shapeOf(document: OpenApi, schema: JsonSchema): Shape {
  const raw = resolve(document, schema)
  const { type, properties, required, items, additionalProperties } = raw
  const variants = (raw.anyOf ?? raw.oneOf ?? []) as readonly JsonSchema[]
  const types = type === undefined ? [] : Array.isArray(type) ? (type as string[]) : [String(type)]
  return {
    types: types.includes('number') && !types.includes('integer') ? [...types, 'integer'] : types,
    enumeration: (raw.enum as readonly unknown[] | undefined) ?? ('const' in raw ? [raw.const] : undefined),
    properties: (properties ?? {}) as Readonly<Record<string, JsonSchema>>,
    required: new Set((required ?? []) as readonly string[]),
    items: items as JsonSchema | undefined,
    variants,
    closed: additionalProperties === false,
    raw,
  }
}

function resolve(document: OpenApi, schema: JsonSchema): JsonSchema {
  const { $ref } = schema
  if (typeof $ref !== 'string') return schema
  return resolve(document, document.components.schemas[$ref.replace('#/components/schemas/', '')] ?? {})
}
