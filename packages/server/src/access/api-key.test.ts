import { describe, expect, test } from 'vitest'
import { createSecret, hashSecret, readPresentedKey } from './api-key.ts'
import { KeyCache, type KnownKey } from './key-cache.ts'
import { createScopeList, DEFAULT_TENANT_ID, effectiveScopes } from './tenant.ts'

describe('API keys', () => {
  test('a secret names its environment, is random, and shows only its beginning', () => {
    const { secret, prefix, sha256 } = createSecret('prod')
    expect(secret).toMatch(/^rs_prod_[0-9A-Za-z]{32}$/)
    expect(prefix).toMatch(/^rs_prod_[0-9A-Za-z]{8}$/)
    expect(secret.startsWith(prefix)).toBe(true)
    expect(sha256).toBe(hashSecret(secret))
    const characters = Array.from({ length: 500 }, () => createSecret('dev').secret.slice(7)).join('')
    const counts = [...new Set(characters)].map((character) => characters.split(character).length - 1)
    expect(counts).toHaveLength(62)
    // 16,000 characters, 258 of each expected; six standard deviations are 96.
    expect(Math.max(...counts) - Math.min(...counts)).toBeLessThan(200)
  })

  test('it is read from X-Api-Key or a bearer token of ours; any other Authorization is not for us', () => {
    const { secret, sha256 } = createSecret('dev')
    const key = { type: 'key', environment: 'dev', sha256 }
    expect(readPresentedKey({ 'x-api-key': secret })).toEqual(key)
    expect(readPresentedKey({ authorization: `Bearer ${secret}` })).toEqual(key)
    expect(readPresentedKey({ authorization: `bearer  ${secret} ` })).toEqual(key)
    expect(readPresentedKey({ authorization: `Bearer eyJhbGciOi.of.somebody-else` })).toEqual({ type: 'none' })
    expect(readPresentedKey({ authorization: 'Basic dXNlcjpwdw==' })).toEqual({ type: 'none' })
    expect(readPresentedKey({})).toEqual({ type: 'none' })
    for (const broken of [`${secret}x`, secret.slice(0, -1), secret.replace('dev', 'test'), 'rs_', '', 'x']) {
      expect(readPresentedKey({ 'x-api-key': broken })).toEqual({ type: 'malformed' })
    }
    expect(readPresentedKey({ authorization: 'Bearer rs_dev_short' })).toEqual({ type: 'malformed' })
  })
})

describe('scopes', () => {
  const all = createScopeList(['orders:read', 'keys:read'])

  test('the list is closed: the control API’s own and those of routes, each once', () => {
    expect(all).toContain('orders:read')
    expect(all).toContain('admin')
    expect(new Set(all).size).toBe(all.length)
  })

  test('AC5: admin of another tenant is everything within it, and nothing of the mesh', () => {
    expect(effectiveScopes(DEFAULT_TENANT_ID, ['admin'], all)).toEqual(['admin'])
    const own = [
      'keys:read',
      'keys:write',
      'audit:read',
      'events:read',
      'events:write',
      'webhooks:read',
      'webhooks:write',
      'sessions:read',
      'sessions:write',
    ]
    expect(effectiveScopes('other', ['admin'], all)).toEqual([...own, 'orders:read'])
    expect(effectiveScopes('other', ['mesh:read', 'tenants:write', 'audit:read'], all)).toEqual(['audit:read'])
  })
})

describe('the cache of keys', () => {
  const known = (keyId: string): KnownKey => ({
    principal: { tenantId: 't', actor: `key:${keyId}`, keyId, scopes: [] },
    expiresAt: Number.POSITIVE_INFINITY,
    verifiedAt: 0,
    used: false,
  })

  test('AC3: it keeps the keys that were used last, and unknown ones never push them out', () => {
    const cache = new KeyCache(3)
    for (const id of ['a', 'b', 'c']) cache.put(id, known(id))
    cache.get('a')
    cache.put('d', known('d'))
    expect(['a', 'b', 'c', 'd'].filter((id) => cache.get(id) !== undefined)).toEqual(['a', 'c', 'd'])
    for (let index = 0; index < 5_000; index++) cache.putUnknown(`unknown ${index}`, 1_000)
    expect(cache.size).toBe(3)
    expect(cache.isUnknown('unknown 4999', 999)).toBe(true)
    expect(cache.isUnknown('unknown 4999', 1_000)).toBe(false)
    expect(cache.isUnknown('unknown 0', 0)).toBe(false)
  })

  test('uses are told once', () => {
    const cache = new KeyCache()
    cache.put('a', known('a'))
    cache.put('b', { ...known('b'), used: true })
    expect([cache.takeUsed(), cache.takeUsed()]).toEqual([['b'], []])
  })
})
