import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { createSealer } from './sealer.ts'

const OWN = { tenantId: 'tenant-1', purpose: 'webhook-secret:1' }
const plain = Buffer.from('whsec_very secret')

test('SE1: a sealed value opens for its tenant and purpose alone, and holds nothing readable', () => {
  const sealer = createSealer({ keys: [randomBytes(32)] })
  const sealed = sealer.seal(plain, OWN)
  expect(sealer.open(sealed, OWN)).toEqual(plain)
  expect(sealed.includes('very secret')).toBe(false)
  expect(sealer.seal(plain, OWN).equals(sealed)).toBe(false)
  const others = [
    { ...OWN, tenantId: 'tenant-2' },
    { ...OWN, purpose: 'webhook-secret:2' },
    { tenantId: '', purpose: 'tenant-1webhook-secret:1' },
    { tenantId: 'tenant-1","webhook-secret:1', purpose: '' },
  ]
  for (const other of others) expect(() => sealer.open(sealed, other)).toThrowError(/does not open/)
})

test('SE1: a value that was changed in any bit does not open, nor does one that was cut', () => {
  const sealer = createSealer({ keys: [randomBytes(32)] })
  const sealed = sealer.seal(plain, OWN)
  for (let index = 0; index < sealed.length * 8; index++) {
    const changed = Buffer.from(sealed)
    const byte = Math.floor(index / 8)
    changed[byte] = (changed[byte] as number) ^ (1 << (index % 8))
    expect(() => sealer.open(changed, OWN)).toThrowError(expect.objectContaining({ code: 'SEAL_BROKEN' }))
  }
  for (let length = 0; length < sealed.length; length++) {
    expect(() => sealer.open(sealed.subarray(0, length), OWN)).toThrowError(
      expect.objectContaining({ code: 'SEAL_BROKEN' }),
    )
  }
})

test('SE2: the first key seals, every key opens, and a key that is missing is told as such', () => {
  const [old, young] = [randomBytes(32), randomBytes(32)]
  const sealed = createSealer({ keys: [old] }).seal(plain, OWN)
  const both = createSealer({ keys: [young, old] })
  expect(both.open(sealed, OWN)).toEqual(plain)
  expect(both.isOld(sealed)).toBe(true)
  const anew = both.seal(plain, OWN)
  expect(both.isOld(anew)).toBe(false)
  expect(createSealer({ keys: [young] }).open(anew, OWN)).toEqual(plain)
  expect(() => createSealer({ keys: [young] }).open(sealed, OWN)).toThrowError(/master key is not among/)
})

test('an empty value is sealed too, and keys of another length are refused', () => {
  const sealer = createSealer({ keys: [randomBytes(32)] })
  expect(sealer.open(sealer.seal(Buffer.alloc(0), OWN), OWN)).toHaveLength(0)
  expect(() => createSealer({ keys: [randomBytes(31)] })).toThrowError(
    expect.objectContaining({ code: 'CONFIG_INVALID' }),
  )
  expect(() => createSealer({ keys: [] })).toThrowError(expect.objectContaining({ code: 'CONFIG_INVALID' }))
})

test('SE4: a derived key is that of its purpose and its master key, wherever it is derived', () => {
  const [old, young] = [randomBytes(32), randomBytes(32)]
  const both = createSealer({ keys: [young, old] })
  expect(createSealer({ keys: [old] }).derive('tokens')[0]).toEqual(both.derive('tokens')[1])
  const all = [...both.derive('tokens'), ...both.derive('other'), young, old].map((key) => key.toString('hex'))
  expect(new Set(all).size).toBe(6)
  expect(both.derive('tokens').every(({ length }) => length === 32)).toBe(true)
})
