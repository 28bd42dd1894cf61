import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { FileFacts } from '../facts/facts.ts'
import { readPython } from '../readers/python/index.ts'
import { readTypeScript } from '../readers/typescript/index.ts'
import { readCompact, writeCompact } from './compact.ts'

const asJson = (value: unknown): unknown => JSON.parse(JSON.stringify(value))

test('CP1: any plain data comes back as JSON would give it', () => {
  fc.assert(
    fc.property(fc.oneof(fc.array(fc.jsonValue()), fc.dictionary(fc.string(), fc.jsonValue())), (value) => {
      // A field of that name is no field of data, and refused.
      fc.pre(!JSON.stringify(value).includes('__proto__') && !JSON.stringify(value).includes('#number'))
      expect(readCompact(writeCompact(value))).toEqual(asJson(value))
    }),
  )
})

test('CP1: so do facts; what is equal is there once, in the bytes and in memory', () => {
  const source =
    "import a from 'b'\nexport class C { async f(x = 1.5) { try { await a.get('/' + x, { n: -7 }) } catch { } } }\n"
  const facts = [readTypeScript('a.ts', source), readPython('a.py', 'def f(x):\n    return x.get(1, y=2)\n')]
  for (const one of facts) expect(readCompact(writeCompact(one))).toEqual(asJson(one))
  const calls = readTypeScript('a.ts', 'store.write(1)\n'.repeat(500))
  const bytes = writeCompact(calls)
  expect(bytes.length * 10).toBeLessThan(JSON.stringify(calls).length)
  const [first, second] = (readCompact(bytes) as FileFacts).calls
  expect(first?.callee).toBe(second?.callee)
})

test('CP2: bytes that are cut or changed throw or give other data; they never hang, and never become more than data', () => {
  const bytes = writeCompact(readTypeScript('a.ts', 'export const a = { b: [1, 2.5, "c"] }\n'.repeat(20)))
  for (let length = 0; length < bytes.length; length += 7) expect(() => readCompact(bytes.slice(0, length))).toThrow()
  fc.assert(
    fc.property(fc.nat(bytes.length - 1), fc.nat(255), (at, byte) => {
      const changed = Uint8Array.from(bytes)
      changed[at] = byte
      try {
        readCompact(changed)
      } catch (error) {
        expect(error).toBeInstanceOf(Error)
      }
    }),
    { numRuns: 2_000 },
  )
  const lost = writeCompact({ a: 1 })
  lost[lost.length - 1] = 6
  expect(() => readCompact(lost)).toThrow('no such part')
  const hostile = writeCompact({ aaaaaaaaa: { polluted: true } })
  const text = Buffer.from(hostile).toString('latin1').replace('aaaaaaaaa', '__proto__')
  expect(() => readCompact(Buffer.from(text, 'latin1'))).toThrow('no field of data')
})
