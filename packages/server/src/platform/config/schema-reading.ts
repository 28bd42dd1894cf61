// Reading the schema. What belongs at a path, said in words, and which parts of a faulty tree are sound: so that one
// wrong field hides no other problem, and no hint is written twice.

import { z } from 'zod'
import type { PostgresUrl, RedisUrl, UpstreamUrl } from './addresses.ts'

export type Path = readonly (string | number)[]

type Schema = z.core.$ZodType

/** The schema under optional, default and transform. */
function unwrap(schema: Schema): Schema {
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault) {
    return unwrap(schema.unwrap())
  }
  return schema instanceof z.ZodPipe ? unwrap(schema.in) : schema
}

function child(schema: Schema, key: string | number): Schema | undefined {
  const inner = unwrap(schema)
  if (inner instanceof z.ZodObject) return Object.hasOwn(inner.shape, key) ? inner.shape[key] : undefined
  if (inner instanceof z.ZodRecord) return inner.valueType
  return inner instanceof z.ZodArray ? inner.element : undefined
}

/** The schema at `path`, wrappers included; undefined if no setting is there. */
export function schemaAt(schema: Schema, path: Path): Schema | undefined {
  let found: Schema | undefined = schema
  for (const key of path) found = found === undefined ? undefined : child(found, key)
  return found
}

/** Names of the settings directly under `path`. */
export function settingNames(schema: Schema, path: Path): readonly string[] {
  const found = schemaAt(schema, path)
  const inner = found === undefined ? undefined : unwrap(found)
  return inner instanceof z.ZodObject ? Object.keys(inner.shape) : []
}

/** Is a mapping with fixed names expected at `path`? */
export function isSection(schema: Schema, path: Path): boolean {
  return settingNames(schema, path).length > 0
}

function exampleOf(schema: Schema): string | undefined {
  for (let layer: Schema = schema; ; ) {
    const examples = z.globalRegistry.get(layer)?.examples
    if (Array.isArray(examples)) return String(examples[0])
    if (layer instanceof z.ZodOptional || layer instanceof z.ZodDefault || layer instanceof z.ZodPrefault) {
      layer = layer.unwrap()
    } else if (layer instanceof z.ZodPipe) layer = layer.in
    else return undefined
  }
}

/** What to write there, for people: `a whole number from 1 to 10`. */
export function expectation(schema: Schema): string {
  const inner = unwrap(schema)
  if (inner instanceof z.ZodNumber) {
    return `${inner.isInt ? 'a whole number' : 'a number'} from ${inner.minValue} to ${inner.maxValue}`
  }
  if (inner instanceof z.ZodEnum) return `one of ${inner.options.join(', ')}`
  if (inner instanceof z.ZodBoolean) return 'true or false'
  if (inner instanceof z.ZodArray) return `a list; each entry ${expectation(inner.element)}`
  if (inner instanceof z.ZodObject) return `settings such as ${Object.keys(inner.shape).slice(0, 3).join(', ')}`
  if (inner instanceof z.ZodRecord) return 'a mapping from names to settings'
  const example = exampleOf(schema)
  return example === undefined ? 'text' : `text such as ${example}`
}

/** `T` with every part that could be wrong missing. */
export type Sound<T> = T extends string | number | boolean | undefined | PostgresUrl | RedisUrl | UpstreamUrl
  ? T | undefined
  : T extends readonly (infer Entry)[]
    ? readonly Sound<Entry>[]
    : { readonly [Key in keyof T]?: Sound<T[Key]> }

/** The sound parts of `value`: each leaf is parsed alone, so that what depends on several can be checked anyway. */
export function soundParts<S extends z.ZodType>(schema: S, value: unknown): Sound<z.output<S>> {
  return soundPart(schema, value) as Sound<z.output<S>> // the walk follows the schema that z.output describes
}

function soundPart(schema: Schema, value: unknown): unknown {
  const inner = unwrap(schema)
  if (inner instanceof z.ZodObject) {
    const given = isMapping(value) ? value : {}
    if (schema instanceof z.ZodOptional && value === undefined) return undefined
    return Object.fromEntries(Object.entries(inner.shape).map(([key, field]) => [key, soundPart(field, given[key])]))
  }
  if (inner instanceof z.ZodRecord) {
    const entries = isMapping(value) ? Object.entries(value) : []
    return Object.fromEntries(entries.map(([key, entry]) => [key, soundPart(inner.valueType, entry)]))
  }
  if (inner instanceof z.ZodArray)
    return Array.isArray(value) ? value.map((entry) => soundPart(inner.element, entry)) : absent(schema)
  const parsed = z.safeParse(schema, value)
  return parsed.success ? parsed.data : absent(schema)
}

/** The default, if there is one. */
function absent(schema: Schema): unknown {
  const parsed = z.safeParse(schema, undefined)
  return parsed.success ? parsed.data : undefined
}

/** A plain mapping, as YAML and JSON make them. */
export function isMapping(value: unknown): value is Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null) return false
  const prototype = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}
