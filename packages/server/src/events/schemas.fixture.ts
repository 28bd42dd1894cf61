// Schemas, changes to them and data, at random, for property tests of compatibility.

import { createSeededRandom, type Random } from '@ripstop/kernel'
import fc from 'fast-check'
import type { JsonSchema } from './schema-check.ts'

type Mutable = Record<string, unknown>

const NAMES = ['a', 'b', 'c', 'x1']

const leaf: fc.Arbitrary<Mutable> = fc.oneof(
  fc.record(
    { type: fc.constant('string'), minLength: fc.nat(2), maxLength: fc.integer({ min: 2, max: 4 }) },
    { requiredKeys: ['type'] },
  ),
  fc.record(
    { type: fc.constantFrom('integer', 'number'), minimum: fc.nat(2), maximum: fc.integer({ min: 2, max: 4 }) },
    { requiredKeys: ['type'] },
  ),
  fc.record({ type: fc.subarray(['string', 'null', 'boolean', 'integer'], { minLength: 1 }) }),
  fc.record({ enum: fc.subarray([null, 1, 2, 'a', 'bb', 1.5], { minLength: 1 }) }),
  fc.record({ const: fc.constantFrom(1, 'a', null) }),
  fc.constant({}),
)

const { schema } = fc.letrec<{ schema: Mutable; object: Mutable }>((tie) => ({
  object: fc.record(
    {
      type: fc.constant('object'),
      properties: fc.dictionary(fc.constantFrom(...NAMES), tie('schema'), { maxKeys: 3 }),
      required: fc.subarray(NAMES, { maxLength: 2 }),
      additionalProperties: fc.oneof(fc.constant(false), fc.constant(true), leaf),
      patternProperties: fc.dictionary(fc.constantFrom('^x', '^n'), leaf, { maxKeys: 1 }),
      minProperties: fc.nat(2),
      anyOf: fc.array(tie('schema'), { minLength: 1, maxLength: 2 }),
      allOf: fc.array(tie('schema'), { minLength: 1, maxLength: 2 }),
      not: fc.record({ required: fc.subarray(NAMES, { minLength: 1 }) }),
    },
    { requiredKeys: ['properties'] },
  ),
  schema: fc.oneof(
    { maxDepth: 2, withCrossShrink: true },
    leaf,
    tie('object'),
    fc.record({ type: fc.constant('array'), items: tie('schema'), minItems: fc.nat(1) }, { requiredKeys: ['type'] }),
  ),
}))

/** Objects at the root, as of events, and the same after one to three changes somewhere in it. */
export const evolvedSchemas: fc.Arbitrary<{ before: JsonSchema; after: JsonSchema }> = fc
  .tuple(
    fc.record({
      type: fc.constant('object'),
      properties: fc.dictionary(fc.constantFrom(...NAMES), schema, { maxKeys: 3 }),
      required: fc.subarray(NAMES, { maxLength: 1 }),
    }),
    schema,
    fc.boolean(),
    fc.integer(),
    fc.integer({ min: 1, max: 3 }),
  )
  .map(([plain, any, isPlain, seed, changes]) => {
    const before = isPlain ? plain : any
    const after = structuredClone(before)
    const random = createSeededRandom(seed)
    for (let change = 0; change < changes; change++) mutate(pickPlace(after, random), random, change)
    return { before, after }
  })

function pick<T>(random: Random, from: readonly T[]): T {
  return from[Math.floor(random() * from.length)] as T
}

function isSchema(value: unknown): value is Mutable {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Any of the subschemas that stand in the open. */
function pickPlace(schema: Mutable, random: Random): Mutable {
  const below = [
    ...Object.values((schema.properties as object | undefined) ?? {}),
    schema.items,
    schema.additionalProperties,
  ]
  const next = below.filter(isSchema)
  return next.length === 0 || random() < 0.5 ? schema : pickPlace(pick(random, next), random)
}

function mutate(schema: Mutable, random: Random, change: number): void {
  const properties = (schema.properties ?? {}) as Mutable
  const required = (schema.required ?? []) as string[]
  const name = pick(random, NAMES)
  const changes: (() => void)[] = [
    // Most of them harmless, so that what is accepted is more than what did not change.
    () =>
      (schema.properties = {
        ...properties,
        [`n${change}`]: pick(random, [{ type: 'string' }, { type: 'integer' }, {}]),
      }),
    () =>
      (schema.properties = { ...properties, [`n${change}`]: { type: 'object', properties: { n9: { type: 'null' } } } }),
    () => (schema.description = 'changed'),
    () => (schema.required = required.toReversed()),
    () => (schema.properties = { ...properties, [name]: { type: 'string' } }),
    () => delete properties[name],
    () => (schema.required = [...new Set([...required, name])]),
    () => (schema.required = required.filter((one) => one !== name)),
    () => (schema.additionalProperties = pick(random, [true, false, { type: 'string' }])),
    () => delete schema.additionalProperties,
    () => (schema.minimum = 1),
    () => delete schema.maximum,
    () => (schema.minLength = 1),
    () => (schema.type = pick(random, ['string', ['string', 'null'], 'integer', 'number', 'object'])),
    () => delete schema.type,
    () => (schema.enum = ['a', 1]),
    () => (schema.items = { type: 'integer' }),
    () => delete schema.items,
    () => delete schema.anyOf,
    () => (schema.anyOf = [{ type: 'string' }, { required: ['a'] }]),
    () => delete schema.allOf,
    () => (schema.patternProperties = { '^x': { type: 'integer' } }),
    () => delete schema.not,
  ]
  pick(random, changes)()
}

/** Data that is likely to be valid. What no schema here declares is named u1, and so is outside of every contract. */
export function dataOf(schema: JsonSchema, seed: number): unknown {
  return sample(schema, createSeededRandom(seed))
}

function sample(schema: unknown, random: Random): unknown {
  if (!isSchema(schema)) return pick(random, [1, 'a', null])
  const { type, enum: values, const: value, minimum = 0, minLength = 0, items, properties, allOf, anyOf } = schema
  if (value !== undefined && random() < 0.9) return value
  if (Array.isArray(values) && random() < 0.9) return pick(random, values)
  const kind = Array.isArray(type)
    ? pick(random, type)
    : (type ?? (properties === undefined ? pick(random, KINDS) : 'object'))
  if (kind === 'object') {
    const within = [schema, ...((allOf ?? []) as unknown[]), ...((anyOf ?? []) as unknown[])].filter(isSchema)
    return Object.assign({}, ...within.map((part) => sampleObject(part, random)))
  }
  if (kind === 'array') return Array.from({ length: Math.floor(random() * 3) }, () => sample(items, random))
  if (kind === 'string') return 'abcd'.slice(0, Number(minLength) + Math.floor(random() * 3))
  if (kind === 'integer') return Number(minimum) + Math.floor(random() * 3)
  if (kind === 'number') return Number(minimum) + Math.floor(random() * 4) / 2
  return kind === 'boolean' ? random() < 0.5 : null
}

const KINDS = ['object', 'array', 'string', 'integer', 'number', 'boolean', 'null']

function sampleObject({ properties = {}, required = [], additionalProperties }: Mutable, random: Random): Mutable {
  const made: Mutable = {}
  const declared = properties as Mutable
  for (const name of Object.keys(declared)) {
    if ((required as string[]).includes(name) || random() < 0.6) made[name] = sample(declared[name], random)
  }
  for (const name of required as string[]) made[name] ??= sample(additionalProperties, random)
  if (random() < 0.3) made.u1 = sample(additionalProperties, random)
  // Where something is said of others, any name is in the contract.
  if (additionalProperties !== undefined && random() < 0.3)
    made[pick(random, ['n0', 'n1', 'x1'])] ??= sample(additionalProperties, random)
  return made
}

/** Without the properties that the schema does not know: of names that it never mentions, and where it is closed those that it does not declare. */
export function withoutUnknown(schema: JsonSchema, data: unknown): unknown {
  const text = JSON.stringify(schema)
  return strip(schema, data, (name) => text.includes(`"${name}"`))
}

function strip(schema: unknown, value: unknown, isMentioned: (name: string) => boolean): unknown {
  const at: Mutable = isSchema(schema) ? schema : {}
  if (Array.isArray(value)) return value.map((entry) => strip(at.items, entry, isMentioned))
  if (!isSchema(value)) return value
  const declared = (at.properties ?? {}) as Mutable
  const isKnown = (name: string): boolean =>
    name in declared ||
    (at.additionalProperties === false ? /^x/.test(name) && 'patternProperties' in at : isMentioned(name))
  const known = Object.entries(value).filter(([name]) => isKnown(name))
  return Object.fromEntries(
    known.map(([name, entry]) => [name, strip(declared[name] ?? at.additionalProperties, entry, isMentioned)]),
  )
}
