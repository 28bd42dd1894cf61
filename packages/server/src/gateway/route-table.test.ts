import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { hasDotSegments, RouteTable } from './route-table.ts'

const paths = fc
  .array(fc.constantFrom('a', 'b', 'ab', ''), { minLength: 1, maxLength: 4 })
  .map((segments) => `/${segments.join('/')}`)

describe('route table', () => {
  test('RT1: it finds what a naive search for the longest whole-segment prefix finds', () => {
    const routePaths = paths.map((path) => path.replace(/\/+$/, '')).filter((path) => path !== '')
    fc.assert(
      fc.property(
        fc.uniqueArray(routePaths, { maxLength: 8 }),
        paths,
        fc.constantFrom('', '?a=/a/b', '?'),
        (all, path, query) => {
          const table = new RouteTable(all.map((each) => ({ path: each })))
          const naive = all
            .filter((each) => path === each || path.startsWith(`${each}/`))
            .sort((a, b) => b.length - a.length)[0]
          expect(table.find(path + query)?.path).toBe(naive)
        },
      ),
    )
  })

  test('RT1: a path that only begins like a route is not of it', () => {
    const table = new RouteTable([{ path: '/orders' }])
    expect(table.find('/ordersx')).toBeUndefined()
    expect(table.find('/order')).toBeUndefined()
    expect(table.find('//orders')).toBeUndefined()
    expect(table.find('/%6frders')).toBeUndefined()
    expect(table.find('/orders?x')?.path).toBe('/orders')
    expect(table.find('/orders//x')?.path).toBe('/orders')
  })

  test('RT2: a path of ten thousand segments costs no more look-ups than the routes are deep', () => {
    let lookUps = 0
    const get = Map.prototype.get
    const table = new RouteTable([{ path: '/a/b' }, { path: '/a' }])
    Map.prototype.get = function (this: Map<unknown, unknown>, key: unknown) {
      lookUps++
      return get.call(this, key)
    }
    try {
      expect(table.find('/a'.repeat(10_000))?.path).toBe('/a')
    } finally {
      Map.prototype.get = get
    }
    expect(lookUps).toBe(2)
  })

  test('RT3: every spelling of a dot segment is seen, and names with dots are not', () => {
    const bad = ['/a/../b', '/a/..', '/a/./b', '/a/.', '/a/%2e%2e/b', '/a/.%2E/b', '/a/..%2fb', '/a/..%5cb', '/a/..\\b']
    const worse = ['/a/..;x=1/b', '/a/.;/b', '/a/%252e%252e/b', '/a/%c0%ae%c0%ae/b', '/a/..%c0%afb', '/a%2f..%2fb']
    for (const path of [...bad, ...worse]) expect(hasDotSegments(path), path).toBe(true)
    const fine = [
      '/a/..b',
      '/a/b..',
      '/a/...',
      '/a/.well-known/x',
      '/a/%2e%2eb',
      '/a%2fb',
      '/a//b',
      '/a/v1.2',
      '/a/100%25',
    ]
    for (const path of fine) expect(hasDotSegments(path), path).toBe(false)
  })
})
