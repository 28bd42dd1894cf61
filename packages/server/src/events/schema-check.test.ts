import { isRipstopError, type RipstopError } from '@ripstop/kernel'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { compileSchema, createDialectCheck, parseSchema } from './schema-check.ts'

const checkDialect = createDialectCheck()

function accept(schema: unknown) {
  const parsed = parseSchema(schema)
  checkDialect(parsed)
  return compileSchema(parsed)
}

function refusalOf(schema: unknown): RipstopError {
  try {
    accept(schema)
  } catch (error) {
    if (isRipstopError(error)) return error
    throw error
  }
  throw new Error('it was accepted')
}

describe('what is a schema', () => {
  test('ET1: a schema of today’s dialect is taken, and checks', () => {
    const validate = accept({
      $schema: 'https://json-schema.org/draft/2020-12/schema',
      title: 'An order',
      type: 'object',
      properties: {
        id: { type: 'string', format: 'uuid' },
        lines: { type: 'array', items: { $ref: '#/$defs/line' }, maxItems: 10, uniqueItems: true },
        at: { type: ['string', 'null'], format: 'date-time' },
      },
      required: ['id'],
      $defs: { line: { type: 'object', properties: { sku: { type: 'string', pattern: '^[A-Z]{3}-\\d+$' } } } },
    })
    const id = '019a7c3e-5f0e-7cc1-9d7e-0a4b6f2d1c33'
    expect(validate({ id, lines: [{ sku: 'ABC-12' }], at: null })).toBeUndefined()
    expect(validate({ id, lines: [{ sku: 'abc' }] })).toMatchObject({ field: '/data/lines/0/sku' })
    expect(validate({ id: 'x' })).toMatchObject({ field: '/data/id' })
    expect(validate(null)).toEqual({ field: '/data', problem: 'must be object' })
    expect(accept({ additionalProperties: false })({ 'a/b': 1 })).toEqual({
      field: '/data/a~1b',
      problem: 'is not known here',
    })
  })

  test('ET1: own properties count, and nothing that objects inherit', () => {
    const validate = accept({ required: ['constructor', 'toString'] })
    expect(validate({})).toMatchObject({ field: '/data' })
    expect(validate({ constructor: 1, toString: 2 })).toBeUndefined()
  })

  test.each([
    [null, ''],
    [true, ''],
    [[], ''],
    ['x', ''],
    [{ type: 'strin' }, '/type'],
    [{ type: 'object', propertys: {} }, '/propertys'],
    [{ $ref: 'https://example.com/schema' }, '/$ref'],
    [{ $ref: '#' }, '/$ref'],
    [{ $ref: '#/$defs/a/properties/b', $defs: { a: {} } }, '/$ref'],
    [{ $ref: '#/$defs/toString', $defs: {} }, '/$ref'],
    [{ $ref: '#/$defs/%zz', $defs: {} }, '/$ref'],
    [{ $dynamicRef: '#a' }, '/$dynamicRef'],
    [{ $id: 'https://example.com/other-tenants-schema' }, '/$id'],
    [{ $schema: 'http://json-schema.org/draft-07/schema#' }, '/$schema'],
    [{ properties: [] }, '/properties'],
    [{ properties: { a: 5 } }, '/properties/a'],
    [{ properties: JSON.parse('{"__proto__":{}}') }, '/properties/__proto__'],
    [{ items: [{}] }, '/items'],
    [{ allOf: {} }, '/allOf'],
    [{ required: 'a' }, '/required'],
    [{ minimum: 'a' }, '/minimum'],
    [{ pattern: '(?=look)' }, '/pattern'],
    [{ pattern: '(a)\\1' }, '/pattern'],
    [{ pattern: '(((a{1,100}){1,100}){1,100})' }, '/pattern'],
    [{ pattern: 'a'.repeat(600) }, '/pattern'],
    [{ patternProperties: { '(': {} } }, '/patternProperties'],
    [{ format: 'regex' }, '/format'],
    [{ uniqueItems: true }, '/uniqueItems'],
    [{ properties: { a: { $defs: {} } } }, '/properties/a'],
  ])('ET1, ET3: what is no schema, or not a whole one, is refused with its place (%#)', (schema, place) => {
    const { code, details } = refusalOf(schema)
    expect(code).toBe('SCHEMA_INVALID')
    expect((details.problems as { field: string }[]).map(({ field }) => field)).toContain(place)
  })

  test('ET1, ET2: bytes, depth, circles and references that multiply have bounds', () => {
    const nested = (levels: number): unknown => JSON.parse(`${'{"not":'.repeat(levels)}{}${'}'.repeat(levels)}`)
    expect(refusalOf(nested(100_000)).message).toContain('nested')
    expect(refusalOf({ description: 'x'.repeat(70_000) }).message).toContain('bytes')
    const circle = { $ref: '#/$defs/a', $defs: { a: { properties: { next: { $ref: '#/$defs/a' } } } } }
    expect(refusalOf(circle).message).toContain('refers to itself')
    const laughs = Object.fromEntries(
      Array.from({ length: 20 }, (_, at) => [
        `d${at}`,
        at === 19 ? {} : { anyOf: [{ $ref: `#/$defs/d${at + 1}` }, { $ref: `#/$defs/d${at + 1}` }] },
      ]),
    )
    expect(refusalOf({ $ref: '#/$defs/d0', $defs: laughs }).message).toContain('subschemas')
  })

  test('ET1: whatever comes is a schema or a typed refusal', () => {
    const keyword = fc.constantFrom(
      'type',
      'enum',
      'properties',
      'items',
      'allOf',
      '$ref',
      '$defs',
      'required',
      'pattern',
      'if',
    )
    const { schema } = fc.letrec((tie) => ({
      schema: fc.dictionary(
        keyword,
        fc.oneof(
          { maxDepth: 3 },
          fc.jsonValue({ maxDepth: 2 }),
          tie('schema'),
          fc.array(tie('schema'), { maxLength: 2 }),
        ),
        { maxKeys: 3 },
      ),
    }))
    fc.assert(
      fc.property(fc.oneof(schema, fc.anything({ maxDepth: 2 })), (given) => {
        try {
          accept(given)({ a: 1 })
        } catch (error) {
          expect(error).toMatchObject({ code: 'SCHEMA_INVALID' })
        }
      }),
      { numRuns: 300 },
    )
  })
})

describe('hostile data', () => {
  const limitMs = 1_500 // on a busy machine; a pattern that backtracks would take years

  test.each([['(a+)+$'], ['(a|aa)+$'], ['(.*a){20}'], ['([a-zA-Z]+)*$'], ['^(([a-z])+.)+[A-Z]([a-z])+$']])(
    'ET2: the pattern %s takes linear time',
    (pattern) => {
      const validate = accept({ type: 'string', pattern })
      const startedMs = performance.now()
      validate(`${'a'.repeat(100_000)}!`)
      expect(performance.now() - startedMs).toBeLessThan(limitMs)
    },
  )

  test.each(['date', 'time', 'date-time', 'duration', 'email', 'hostname', 'ipv4', 'ipv6', 'uri', 'uuid'])(
    'ET2: the format %s takes little time for anything',
    (format) => {
      const validate = accept({ type: 'string', format })
      const startedMs = performance.now()
      for (const piece of ['a', '1:', 'a.', 'a@', '-', ':', '%41', 'a:/', '1.', 'P1']) {
        validate(piece.repeat(120_000))
        validate(`http://${piece.repeat(120_000)}\n`)
      }
      expect(performance.now() - startedMs).toBeLessThan(limitMs)
    },
  )
})
