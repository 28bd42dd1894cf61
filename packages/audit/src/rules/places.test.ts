import { describe, expect, test } from 'vitest'
import { repositoryOf } from '../repository/repository.fixture.ts'
import { isByHand, isPage } from './places.ts'

function isPageOf(path: string, text = 'export const a = 1\n'): boolean {
  const facts = repositoryOf({ [path]: text }).facts.get(path)
  if (facts === undefined) throw new Error(`no facts of ${path}`)
  return isPage(facts)
}

describe('places', () => {
  test.each([
    ...[
      'scripts/load.ts',
      'api/db_scripts/fill.py',
      '.github/check.mjs',
      'bin/import.js',
      'app/management/commands/x.py',
    ],
    ...[
      'dev/server.ts',
      'dev-tools/a.ts',
      'devops/a.py',
      'api/seeders/users.ts',
      'load_tests/run.py',
      'api/test_redis.py',
    ],
  ])('PL1: %s is started by hand', (path) => expect(isByHand(path)).toBe(true))

  test.each([
    ...['src/devices/read.ts', 'api/developers/keys.py', 'src/descriptions/a.ts', 'src/binary/a.ts', 'bin/www'],
    ...['bin/server.js', 'api/verify_token.py', 'src/latest-orders.ts', 'src/doc/store.ts'],
  ])('PL1: %s is served', (path) => expect(isByHand(path)).toBe(false))

  test('PL1: a page is told by its folder, its libraries and its globals; a server among pages is none', () => {
    expect(isPageOf('web/button.tsx')).toBe(true)
    expect(isPageOf('frontend/orders.ts')).toBe(true)
    expect(isPageOf('src/store.ts', "import { create } from 'zustand'\n")).toBe(true)
    expect(isPageOf('src/menu.js', "document.querySelector('a')\n")).toBe(true)
    expect(isPageOf('src/shoot.js', "import b from 'puppeteer'\nb.run(() => document.querySelector('a'))\n")).toBe(
      false,
    )
    expect(isPageOf('frontend/server.js', "import express from 'express'\nexpress().listen(80)\n")).toBe(false)
    expect(isPageOf('frontend/api.ts', "import type { Express } from 'express'\nexport const a = 1\n")).toBe(true)
    expect(isPageOf('public/app.py', 'a = 1\n')).toBe(false)
  })
})
