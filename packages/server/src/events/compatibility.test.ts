import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Change, compareSchemas, findUnguaranteed, schemaOfPaths } from './compatibility.ts'
import { compileSchema, type JsonSchema, parseSchema } from './schema-check.ts'
import { dataOf, evolvedSchemas, withoutUnknown } from './schemas.fixture.ts'

const ORDER = {
  type: 'object',
  properties: { id: { type: 'string' }, amount: { type: 'integer', minimum: 0 }, state: { enum: ['new', 'paid'] } },
  required: ['id'],
}

const order = (change: object): JsonSchema => ({ ...ORDER, ...change })
const withProperties = (change: object): JsonSchema => order({ properties: { ...ORDER.properties, ...change } })
const briefly = (changes: readonly Change[]) => changes.map(({ pointer, breaks }) => `${pointer} ${breaks.join('+')}`)

describe('what breaks whom', () => {
  test.each<[string, JsonSchema, string[]]>([
    ['nothing', order({ title: 'An order', description: 'x', examples: [1] }), []],
    ['an optional property is new', withProperties({ note: { type: 'string' } }), ['/properties/note ']],
    [
      'a required property is new',
      order({ properties: { ...ORDER.properties, note: {} }, required: ['note', 'id'] }),
      ['/properties/note ', '/properties/note publishers'],
    ],
    ['an optional one is required', order({ required: ['id', 'amount'] }), ['/properties/amount publishers']],
    ['a required one is optional', order({ required: [] }), ['/properties/id consumers']],
    [
      'one is gone',
      order({ properties: { id: { type: 'string' }, amount: ORDER.properties.amount } }),
      ['/properties/state consumers'],
    ],
    ['a type is wider', withProperties({ id: { type: ['string', 'null'] } }), ['/properties/id/type consumers']],
    ['a type is narrower', withProperties({ state: { enum: ['new', 'paid'], type: 'string' } }), []],
    [
      'an integer is a number',
      withProperties({ amount: { type: 'number', minimum: 0 } }),
      ['/properties/amount/type consumers'],
    ],
    [
      'a type is another',
      withProperties({ id: { type: 'integer' } }),
      ['/properties/id/type consumers', '/properties/id/type publishers'],
    ],
    [
      'an enumeration is wider',
      withProperties({ state: { enum: ['paid', 'new', 'sent'] } }),
      ['/properties/state/enum consumers'],
    ],
    ['an enumeration is narrower', withProperties({ state: { const: 'new' } }), ['/properties/state/enum publishers']],
    [
      'a bound is lower',
      withProperties({ amount: { type: 'integer', minimum: -1 } }),
      ['/properties/amount/minimum consumers'],
    ],
    [
      'a bound is higher',
      withProperties({ amount: { type: 'integer', minimum: 1 } }),
      ['/properties/amount/minimum publishers'],
    ],
    ['a bound is gone', withProperties({ amount: { type: 'integer' } }), ['/properties/amount/minimum consumers']],
    [
      'a pattern is new',
      withProperties({ id: { type: 'string', pattern: '^o' } }),
      ['/properties/id/pattern publishers'],
    ],
    ['it is closed', order({ additionalProperties: false }), ['/additionalProperties publishers']],
    ['it is open for good', order({ additionalProperties: true }), ['/additionalProperties ']],
    ['a form inside is another', order({ oneOf: [{ required: ['amount'] }] }), ['/oneOf publishers+consumers']],
    [
      'it is behind a reference',
      order({ properties: { ...ORDER.properties, id: { $ref: '#/$defs/id' } }, $defs: { id: { type: 'string' } } }),
      [],
    ],
    ['it is spread over allOf', { allOf: [{ $ref: '#/$defs/o' }], $defs: { o: ORDER } }, []],
  ])('ET4, ET5: %s', (_, after, changes) => {
    expect(briefly(compareSchemas(ORDER, parseSchema(after))).sort()).toEqual(changes.sort())
  })

  test('ET4: a new property breaks publishers where something was said of those that were not declared', () => {
    const added = { properties: { n: { type: 'string' } } }
    const cases: [JsonSchema, boolean][] = [
      [{}, true],
      [{ additionalProperties: false }, true],
      [{ additionalProperties: true }, false],
      [{ additionalProperties: { type: 'string' } }, true],
      [{ additionalProperties: { type: 'integer' } }, false],
      [{ unevaluatedProperties: false }, true],
      [{ patternProperties: { '^n': { type: 'integer' } } }, false],
      [{ patternProperties: { '^m': { type: 'integer' } } }, true],
      [{ anyOf: [{ properties: { n: { type: 'integer' } } }, { required: ['m'] }] }, false],
      [{ anyOf: [{ required: ['m'] }, { required: ['o'] }] }, true],
      [{ not: { patternProperties: { n: {} } } }, false],
    ]
    for (const [before, isCompatible] of cases) {
      const found = compareSchemas(before, { ...before, ...added })
      expect(
        found.every(({ breaks }) => breaks.length === 0),
        JSON.stringify(before),
      ).toBe(isCompatible)
    }
  })
})

describe('a consumer’s contract', () => {
  const version = {
    type: 'object',
    properties: {
      order: {
        type: 'object',
        properties: {
          id: { type: 'string', minLength: 1 },
          note: { type: 'string' },
          lines: {
            type: 'array',
            items: { type: 'object', properties: { sku: { type: 'string' } }, required: ['sku'] },
          },
        },
        required: ['id', 'lines'],
      },
    },
    required: ['order'],
  }
  const missing = (consumer: JsonSchema | undefined) =>
    findUnguaranteed(consumer ?? {}, version).map(({ pointer }) => pointer)

  test('ET6: paths are guaranteed if every step is required and of its kind', () => {
    expect(missing(schemaOfPaths(['order.id', 'order.lines[].sku', 'order.lines']))).toEqual([])
    expect(missing(schemaOfPaths(['order.note']))).toEqual(['/properties/order/properties/note'])
    expect(missing(schemaOfPaths(['order.lines[].amount']))).toEqual(
      [
        '/properties/order/properties/lines/items/properties/amount',
        '/properties/order/properties/lines/items/properties/amount',
      ].slice(0, 1),
    )
    expect(missing(schemaOfPaths(['order.id.deep']))).not.toEqual([])
    expect(missing(schemaOfPaths(['customer']))).toEqual(['/properties/customer'])
    expect(missing(schemaOfPaths(['constructor']))).toEqual(['/properties/constructor'])
    for (const path of ['', '.', 'a..b', 'a[', '[]', 'a[0]', 'a.']) expect(schemaOfPaths([path]), path).toBeUndefined()
  })

  test('ET6: a schema of the consumer’s own may demand less than is promised, not more', () => {
    const of = (id: object) => ({ properties: { order: { properties: { id } } } })
    expect(missing(of({ type: ['string', 'null'] }))).toEqual([])
    expect(missing(of({ minLength: 1 }))).toEqual([])
    expect(missing(of({ minLength: 2 }))).toEqual(['/properties/order/properties/id/minLength'])
    expect(missing(of({ type: 'integer' }))).toEqual(['/properties/order/properties/id/type'])
    expect(missing({ ...version, additionalProperties: false })).toEqual([])
  })
})

describe('for any schema and any change to it', () => {
  const SAMPLES = 12

  test('ET4: what was valid stays valid under a version that is accepted', () => {
    let accepted = 0
    fc.assert(
      fc.property(evolvedSchemas, fc.integer(), ({ before, after }, seed) => {
        if (compareSchemas(before, after).some(({ breaks }) => breaks.includes('publishers'))) return
        accepted++
        const [old, now] = [compileSchema(before), compileSchema(after)]
        for (let sample = 0; sample < SAMPLES; sample++) {
          const data = dataOf(before, seed + sample)
          if (old(data) === undefined) expect(now(data), JSON.stringify({ before, after, data })).toBeUndefined()
        }
      }),
      { numRuns: 300 },
    )
    expect(accepted).toBeGreaterThan(20)
  })

  test('ET5, ET6: what is valid fits what was promised, and what a consumer is told to be guaranteed', () => {
    let accepted = 0
    fc.assert(
      fc.property(evolvedSchemas, fc.integer(), ({ before, after }, seed) => {
        if (findUnguaranteed(before, after).length > 0) return
        accepted++
        const [old, now] = [compileSchema(before), compileSchema(after)]
        for (let sample = 0; sample < SAMPLES; sample++) {
          const data = dataOf(after, seed + sample)
          if (now(data) !== undefined) continue
          if (old(data) === undefined) continue
          expect(old(withoutUnknown(before, data)), JSON.stringify({ before, after, data })).toBeUndefined()
        }
      }),
      { numRuns: 300 },
    )
    expect(accepted).toBeGreaterThan(20)
  })
})
