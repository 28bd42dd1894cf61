// JSON Schemas of event data, 2020-12. Whoever registers a schema has us run it on every event, so it is bounded before it is compiled: its
// size, its depth, how large it becomes when its references are followed (no cycles, so that checking ends in time that the schema and
// the event bound), and regular expressions go to RE2, which takes linear time.
// Invariants:
//   ET1. What is accepted as a schema is a JSON Schema within the bounds; what is not is refused with a place and a reason, whatever it is.
//   ET2. Checking an event takes time that grows with the event, not with what a pattern or a reference makes of it.
//   ET3. Nothing outside of the schema is read: no remote reference, no other tenant's schema.

import { RipstopError } from '@ripstop/kernel'
import type { FieldProblem } from '@ripstop/protocol'
import '@ripstop/protocol' // registers the codes of the edge
import { createRequire } from 'node:module'
import type { ErrorObject, Options } from 'ajv'
import type { Ajv2020 } from 'ajv/dist/2020.js'

export const SCHEMA_BYTES_MAX = 65_536
const SCHEMA_DEPTH_MAX = 32
/** Subschemas, those behind references counted each time that they are reached. */
const SUBSCHEMAS_MAX = 2_000
const PATTERN_LENGTH_MAX = 512
const PATTERN_PROGRAM_MAX = 5_000
/** Comparing each with each is quadratic. */
const UNIQUE_ITEMS_MAX = 1_000
const PROBLEMS_MAX = 20
const DIALECT = 'https://json-schema.org/draft/2020-12/schema'

export type JsonSchema = Readonly<Record<string, unknown>>

/** Keywords that hold schemas, and how. */
export const SUBSCHEMAS: Readonly<Record<string, 'one' | 'list' | 'map'>> = {
  additionalProperties: 'one',
  items: 'one',
  contains: 'one',
  not: 'one',
  if: 'one',
  // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
  then: 'one',
  else: 'one',
  propertyNames: 'one',
  unevaluatedItems: 'one',
  unevaluatedProperties: 'one',
  allOf: 'list',
  anyOf: 'list',
  oneOf: 'list',
  prefixItems: 'list',
  properties: 'map',
  patternProperties: 'map',
  dependentSchemas: 'map',
}

const FORMATS = ['date', 'time', 'date-time', 'duration', 'email', 'hostname', 'ipv4', 'ipv6', 'uri', 'uuid'] as const

/** What says nothing about what is valid. */
export const ANNOTATIONS: readonly string[] = [
  'title',
  'description',
  'default',
  'examples',
  'deprecated',
  'readOnly',
  'writeOnly',
].concat(['$comment', '$schema', '$defs'])

const ASSERTIONS = ['type', 'enum', 'const', 'multipleOf', 'maximum', 'exclusiveMaximum', 'minimum', 'exclusiveMinimum']
  .concat([
    'maxLength',
    'minLength',
    'pattern',
    'format',
    'maxItems',
    'minItems',
    'uniqueItems',
    'maxContains',
    'minContains',
  ])
  .concat(['maxProperties', 'minProperties', 'required', 'dependentRequired', '$ref'])

const KEYWORDS: ReadonlySet<string> = new Set([...ANNOTATIONS, ...ASSERTIONS, ...Object.keys(SUBSCHEMAS)])

/** The schema, if it is one within the bounds. Throws SCHEMA_INVALID with the places in details.problems. */
export function parseSchema(given: unknown): JsonSchema {
  if (!isObject(given)) throw schemaInvalid([{ field: '', problem: 'must be an object' }])
  // First how deep it is: what follows is recursive, and JSON.stringify too.
  const text = depthOf(given, SCHEMA_DEPTH_MAX) > SCHEMA_DEPTH_MAX ? undefined : JSON.stringify(given)
  if (text === undefined) throw schemaInvalid([{ field: '', problem: `is nested deeper than ${SCHEMA_DEPTH_MAX}` }])
  const bytes = Buffer.byteLength(text)
  if (bytes > SCHEMA_BYTES_MAX)
    throw schemaInvalid([{ field: '', problem: `has ${bytes} bytes, of at most ${SCHEMA_BYTES_MAX}` }])
  const bounds = new BoundsCheck(given)
  bounds.run()
  if (bounds.problems.length > 0) throw schemaInvalid(bounds.problems)
  return given
}

/** What a validator says of `data`; undefined: it is valid. */
export type Validate = (data: unknown) => FieldProblem | undefined

/**
 * Compiles a parsed schema (1.5 ms, 2026-11). An instance of Ajv for each, for an instance keeps what it compiles for ever.
 * Throws SCHEMA_INVALID where it is no JSON Schema after all.
 */
export function compileSchema(schema: JsonSchema): Validate {
  const ajv = createAjv({
    strict: true,
    strictTypes: false,
    strictRequired: false,
    strictTuples: false,
    allowUnionTypes: true,
    allowMatchingProperties: true,
    ownProperties: true, // else every object has a `constructor`
    meta: false,
    validateSchema: false,
    addUsedSchema: false,
    logger: false,
    code: { regExp: RE2 },
  })
  const { fullFormats } = load('ajv-formats/dist/formats.js') as typeof import('ajv-formats/dist/formats.js')
  for (const name of FORMATS) ajv.addFormat(name, fullFormats[name])
  const { $schema: _, ...rest } = schema
  try {
    const validate = ajv.compile(rest)
    return (data) => (validate(data) ? undefined : problemOf(validate.errors?.[0]))
  } catch (error) {
    const problem = error instanceof Error ? error.message.slice(0, 300) : 'cannot be compiled'
    throw schemaInvalid([{ field: '', problem }])
  }
}

/** Says whether a schema is one, by the dialect's own schema. */
export type CheckDialect = (schema: JsonSchema) => void

/** Costs 95 ms once: made where types are registered, not where events are checked. Throws SCHEMA_INVALID. */
export function createDialectCheck(): CheckDialect {
  const ajv = createAjv({ strict: false, code: { regExp: RE2 }, logger: false })
  const validate = ajv.getSchema(DIALECT)
  return (schema) => {
    if (validate === undefined || validate(schema) === true) return
    const errors = validate.errors ?? []
    throw schemaInvalid(
      errors
        .slice(0, PROBLEMS_MAX)
        .map(({ instancePath, message }) => ({ field: instancePath, problem: message ?? 'is wrong' })),
    )
  }
}

function compileLinear(pattern: string) {
  const { RE2JS } = load('re2js') as typeof import('re2js')
  return RE2JS.compile(RE2JS.translateRegExp(pattern))
}

const RE2 = Object.assign(compileLinear, { code: 'RE2' })

/** Loaded with the first schema: 13 MB that a mesh without registered types does not need (2026-11). */
const load = createRequire(import.meta.url)

function createAjv(options: Options): Ajv2020 {
  const { Ajv2020 } = load('ajv/dist/2020.js') as typeof import('ajv/dist/2020.js')
  return new Ajv2020(options)
}

/** Whether `pattern`, as in a schema, finds something in `text`. */
export function isMatch(pattern: string, text: string): boolean {
  return RE2(pattern).test(text)
}

function problemOf(error: ErrorObject | undefined): FieldProblem {
  if (error === undefined) return { field: '/data', problem: 'does not fit its schema' }
  const { instancePath, keyword, params, message } = error
  const at = `/data${instancePath.slice(0, 300)}`
  // A name that is too many comes from the publisher, and is a place like any other.
  const extra = keyword === 'additionalProperties' ? params.additionalProperty : params.unevaluatedProperty
  if (typeof extra === 'string')
    return { field: `${at}/${pointerPart(extra).slice(0, 64)}`, problem: 'is not known here' }
  return { field: at, problem: message ?? 'does not fit its schema' }
}

/** RFC 6901. */
export function pointerPart(name: string): string {
  return name.replaceAll('~', '~0').replaceAll('/', '~1')
}

/** What a `$ref` within the bounds leads to. */
export function definitionOf(root: JsonSchema, ref: unknown): unknown {
  const name = typeof ref === 'string' ? /^#\/\$defs\/([^/]+)$/.exec(ref)?.[1] : undefined
  if (name === undefined || !isObject(root.$defs)) return undefined
  let decoded: string
  try {
    decoded = decodeURIComponent(name).replaceAll('~1', '/').replaceAll('~0', '~')
  } catch {
    return undefined // a % that is no percent-encoding
  }
  return Object.hasOwn(root.$defs, decoded) ? root.$defs[decoded] : undefined
}

/** Every subschema of a schema with its place; not those of $defs. */
export function* subschemasOf(schema: JsonSchema): Generator<readonly [pointer: string, subschema: unknown]> {
  for (const [keyword, how] of Object.entries(SUBSCHEMAS)) {
    const value = schema[keyword]
    if (value === undefined || !Object.hasOwn(schema, keyword)) continue
    if (how === 'one') yield [`/${keyword}`, value]
    else if (how === 'list' && Array.isArray(value)) {
      for (const [index, part] of value.entries()) yield [`/${keyword}/${index}`, part]
    } else if (isObject(value)) {
      for (const name of Object.keys(value)) yield [`/${keyword}/${pointerPart(name)}`, value[name]]
    }
  }
}

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Walks a schema with its references followed, and notes what is out of bounds. */
class BoundsCheck {
  readonly problems: FieldProblem[] = []
  readonly #root: JsonSchema
  #subschemas = 0

  constructor(root: JsonSchema) {
    this.#root = root
  }

  run(): void {
    this.#visit(this.#root, '', [])
    const { $defs = {} } = this.#root
    if (!isObject($defs)) return this.#note('/$defs', 'must be an object')
    // Also what nothing refers to yet is shown to people and compiled.
    for (const name of Object.keys($defs))
      this.#visit($defs[name], `/$defs/${pointerPart(name)}`, [`#/$defs/${pointerPart(name)}`])
  }

  #note(field: string, problem: string): void {
    if (this.problems.length < PROBLEMS_MAX) this.problems.push({ field, problem })
  }

  #visit(schema: unknown, at: string, behind: readonly string[]): void {
    if (this.problems.length >= PROBLEMS_MAX || typeof schema === 'boolean') return
    if (++this.#subschemas > SUBSCHEMAS_MAX) {
      if (this.#subschemas === SUBSCHEMAS_MAX + 1)
        this.#note('', `has more than ${SUBSCHEMAS_MAX} subschemas, those behind references counted each time`)
      return
    }
    if (!isObject(schema)) return this.#note(at, 'must be a schema')
    for (const keyword of Object.keys(schema)) {
      if (!KEYWORDS.has(keyword)) this.#note(`${at}/${pointerPart(keyword).slice(0, 64)}`, 'is not supported here')
    }
    if (at !== '' && ('$defs' in schema || '$schema' in schema))
      this.#note(at, 'may have $defs and $schema at the root alone')
    this.#visitValues(schema, at)
    this.#visitRef(schema, at, behind)
    for (const [pointer, subschema] of subschemasOf(schema)) this.#visit(subschema, at + pointer, behind)
  }

  #visitValues(schema: JsonSchema, at: string): void {
    const {
      $schema = DIALECT,
      pattern,
      patternProperties = {},
      properties = {},
      uniqueItems,
      maxItems,
      format,
    } = schema
    if ($schema !== DIALECT) this.#note(`${at}/$schema`, `must be ${DIALECT}`)
    if (pattern !== undefined) this.#visitPattern(pattern, `${at}/pattern`)
    for (const [keyword, map] of Object.entries({ patternProperties, properties })) {
      if (!isObject(map)) this.#note(`${at}/${keyword}`, 'must be an object')
      else if (Object.hasOwn(map, '__proto__')) this.#note(`${at}/${keyword}/__proto__`, 'is no name for a property')
    }
    for (const name of Object.keys(patternProperties as object)) this.#visitPattern(name, `${at}/patternProperties`)
    if (uniqueItems === true && !(typeof maxItems === 'number' && maxItems <= UNIQUE_ITEMS_MAX))
      this.#note(`${at}/uniqueItems`, `needs maxItems, at most ${UNIQUE_ITEMS_MAX}`)
    if (format !== undefined && !(FORMATS as readonly unknown[]).includes(format))
      this.#note(`${at}/format`, `must be one of ${FORMATS.join(', ')}`)
  }

  #visitPattern(pattern: unknown, at: string): void {
    if (typeof pattern !== 'string' || pattern.length > PATTERN_LENGTH_MAX)
      return this.#note(at, `must be a string of at most ${PATTERN_LENGTH_MAX} characters`)
    try {
      if (RE2(pattern).programSize() > PATTERN_PROGRAM_MAX) this.#note(at, 'is too large a pattern')
    } catch {
      this.#note(at, 'is no regular expression that RE2 takes: no look-around, no back-references')
    }
  }

  #visitRef({ $ref }: JsonSchema, at: string, behind: readonly string[]): void {
    if ($ref === undefined) return
    const target = definitionOf(this.#root, $ref)
    if (target === undefined) return this.#note(`${at}/$ref`, 'must be #/$defs/NAME of this schema')
    const name = String($ref)
    if (behind.includes(name)) return this.#note(`${at}/$ref`, 'refers to itself, which is not supported')
    this.#visit(target, at, [...behind, name])
  }
}

/** Not recursive: it is asked of what may be nested without end. */
function depthOf(value: unknown, enough: number): number {
  let level: unknown[] = [value]
  let depth = 0
  for (; level.length > 0 && depth <= enough; depth++) {
    level = level.flatMap((entry) => (typeof entry === 'object' && entry !== null ? Object.values(entry) : []))
  }
  return depth
}

export function schemaInvalid(problems: readonly FieldProblem[]): RipstopError {
  const message = problems.map(({ field, problem }) => `${field === '' ? 'the schema' : field} ${problem}`).join('; ')
  return new RipstopError('SCHEMA_INVALID', message, { details: { problems } })
}
