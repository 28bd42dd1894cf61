import fc from 'fast-check'
import { expect, test } from 'vitest'
import { parseToxic, parseToxicChange, TOXIC_TYPES } from './toxics.ts'

test('every type parses with its defaults, as Toxiproxy fills them', () => {
  for (const type of TOXIC_TYPES) {
    const toxic = parseToxic({ type })
    expect(toxic).toMatchObject({ name: `${type}_downstream`, type, stream: 'downstream', toxicity: 1 })
  }
  expect(parseToxic({ type: 'latency', stream: 'upstream', name: '' })).toEqual({
    name: 'latency_upstream',
    type: 'latency',
    stream: 'upstream',
    toxicity: 1,
    attributes: { latency: 0, jitter: 0 },
  })
})

test('a change keeps what it does not name', () => {
  const toxic = parseToxic({ type: 'slicer', toxicity: 0.5, attributes: { average_size: 10, delay: 5 } })
  expect(parseToxicChange(toxic, { attributes: { delay: 9 }, name: 'ignored, as in Toxiproxy' })).toEqual({
    toxicity: 0.5,
    attributes: { average_size: 10, size_variation: 0, delay: 9 },
  })
})

test.each([
  [null, 'a toxic must be an object'],
  [[], 'a toxic must be an object'],
  [{}, 'invalid toxic type'],
  [{ type: 'toString' }, 'invalid toxic type'],
  [{ type: 'latency', stream: 'sideways' }, 'stream was invalid, can be either upstream or downstream'],
  [{ type: 'latency', toxicity: 1.5 }, 'toxicity must be a number from 0 to 1'],
  [
    { type: 'latency', toxcity: 1 },
    'a toxic does not take "toxcity"; it takes name, type, stream, toxicity, attributes',
  ],
  [{ type: 'latency', name: 7 }, 'name must be a text of at most 200 characters'],
  [
    { type: 'latency', attributes: { latencyMs: 5 } },
    'the attributes of latency does not take "latencyMs"; it takes latency, jitter',
  ],
  [{ type: 'latency', attributes: { latency: '5' } }, 'latency.latency must be a number from 0 to 2147483647'],
  [{ type: 'latency', attributes: { latency: Number.NaN } }, 'latency.latency must be a number from 0 to 2147483647'],
  [
    { type: 'black_hole', attributes: { x: 1 } },
    'the attributes of black_hole does not take "x"; it takes no field at all',
  ],
  [{ type: 'half_open', attributes: { new: 1 } }, 'half_open.new must be true or false'],
  [{ type: 'http_error', attributes: { status: 99 } }, 'http_error.status must be a number from 200 to 599'],
])('TX1: %j is refused: %s', (input, message) => {
  expect(() => parseToxic(input)).toThrow(expect.objectContaining({ code: 'FAULT_INVALID', message }))
})

test('TX1: whatever comes in, it parses or it is FAULT_INVALID', () => {
  const some = fc.oneof(fc.anything(), fc.record({ type: fc.constantFrom(...TOXIC_TYPES), attributes: fc.anything() }))
  fc.assert(
    fc.property(some, (input) => {
      try {
        const toxic = parseToxic(input)
        expect(parseToxic(toxic)).toEqual(toxic)
      } catch (error) {
        expect(error).toMatchObject({ code: 'FAULT_INVALID' })
      }
    }),
  )
})
