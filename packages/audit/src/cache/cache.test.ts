import { readdirSync, readFileSync, statSync, truncateSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { systemClock } from '@ripstop/kernel'
import { expect, test } from 'vitest'
import { audit } from '../audit.ts'
import { createFolder } from '../folder.fixture.ts'
import type { Report } from '../reports/report.ts'
import { createTimings } from '../timings.ts'
import { type CacheFolder, readKept, startWriting } from './folder.ts'
import { readIdentity } from './identity.ts'
import { cachePlace } from './place.ts'

const NOW = Date.parse('2026-11-22T12:00:00Z')
const TORN = 'export async function save() {\n  try {\n    await store.write(1)\n  } catch {}\n}\n'

interface Ran {
  readonly report: Report
  readonly isFromCache: boolean
  readonly readers: readonly string[]
  readonly problems: readonly string[]
}

async function run(root: string, cachePath: string | undefined, wallMs = NOW): Promise<Ran> {
  const problems: string[] = []
  const timings = createTimings(systemClock)
  const audited = await audit(root, {
    clock: { ...systemClock, wallMs: () => wallMs },
    version: '1.2.3',
    cachePath,
    threads: 1,
    progress: () => {},
    problem: (what) => void problems.push(what),
    timings,
  })
  const readers = timings.list().flatMap(({ kind, name }) => (kind === 'reader' ? [name] : []))
  return { ...audited, readers, problems }
}

function bodyOf(report: Report): unknown {
  return JSON.parse(JSON.stringify({ ...report, generatedAt: '' }))
}

function setUp() {
  const root = createFolder({ 'src/a.ts': TORN, 'src/b.py': 'import c\n', 'test/t.test.ts': TORN, CODEOWNERS: '* @us' })
  return { root, cache: join(createFolder({}), 'kept') }
}

test('CA6: a second audit of what has not changed gives the same report, and reads no source', async () => {
  const { root, cache } = setUp()
  const [plain, first, second] = [
    await run(root, undefined),
    await run(root, cache),
    await run(root, cache, NOW + 1000),
  ]
  expect([first.isFromCache, second.isFromCache, second.readers]).toEqual([false, true, []])
  expect(bodyOf(second.report)).toEqual(bodyOf(plain.report))
  expect(second.report.generatedAt).toBe(new Date(NOW + 1000).toISOString())
  expect(statSync(cache).mode & 0o077).toBe(0)
})

test.each([
  ['a source', (root: string) => writeFileSync(join(root, 'src/a.ts'), `\n${TORN}`)],
  ['a file that only owners are read from', (root: string) => writeFileSync(join(root, 'CODEOWNERS'), '* @me')],
  ['a new file', (root: string) => writeFileSync(join(root, 'Dockerfile'), 'FROM x')],
])('CA5: %s that changed is seen, and a scan of today says the same', async (_, change) => {
  const { root, cache } = setUp()
  await run(root, cache)
  change(root)
  const [again, plain] = [await run(root, cache), await run(root, undefined)]
  expect(again.isFromCache).toBe(false)
  expect(bodyOf(again.report)).toEqual(bodyOf(plain.report))
})

test('CA5: a file that nobody reads may change; another day may not', async () => {
  const { root, cache } = setUp()
  await run(root, cache)
  writeFileSync(join(root, 'test/t.test.ts'), TORN.replace('save', 'gone'))
  expect((await run(root, cache)).isFromCache).toBe(true)
  expect((await run(root, cache, NOW + 86_400_000)).isFromCache).toBe(false)
})

test('CA4: of a source that changed only that one is read anew', async () => {
  const { root, cache } = setUp()
  await run(root, cache)
  writeFileSync(join(root, 'src/b.py'), 'import d\n')
  const { readers } = await run(root, cache)
  expect([readers.includes('Python'), readers.includes('TypeScript and JavaScript')]).toEqual([true, false])
})

test('CA1: files that are cut, changed or of another version are not there, and are written anew', async () => {
  const { root, cache } = setUp()
  const { report } = await run(root, cache)
  const damage: readonly ((place: string, bytes: Buffer) => void)[] = [
    (place) => truncateSync(place, 40),
    (place) => writeFileSync(place, ''),
    (place, bytes) => {
      bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1
      writeFileSync(place, bytes)
    },
    (place) => writeFileSync(place, 'not of ours'.repeat(100)),
  ]
  for (const harm of damage) {
    for (const name of readdirSync(cache)) harm(join(cache, name), readFileSync(join(cache, name)))
    const again = await run(root, cache)
    expect([again.isFromCache, bodyOf(again.report)]).toEqual([false, bodyOf(report)])
    expect((await run(root, cache)).isFromCache).toBe(true)
  }
  const folder: CacheFolder = { path: cache, wallMs: NOW, problem: () => {} }
  const [name = ''] = readdirSync(cache)
  expect(readKept(folder, name, 'ff'.repeat(32))).toBeUndefined()
})

test('CA1: two audits at once leave one whole cache', async () => {
  const { root, cache } = setUp()
  await Promise.all([run(root, cache), run(root, cache), run(root, cache)])
  expect((await run(root, cache)).isFromCache).toBe(true)
  expect(readdirSync(cache)).toHaveLength(2)
})

test('CA2: what was not used for longest goes first, with what was never finished; what is not ours stays', () => {
  const path = createFolder({ 'mine.txt': 'x' })
  const folder: CacheFolder = { path, wallMs: NOW, problem: () => {} }
  const old = (name: string, bytes: number, daysAgo: number) => {
    writeFileSync(join(path, name), '')
    truncateSync(join(path, name), bytes)
    utimesSync(join(path, name), NOW / 1_000 - daysAgo * 86_400, NOW / 1_000 - daysAgo * 86_400)
  }
  const named = (digit: string) => `${digit.repeat(32)}.facts`
  old(named('a'), 600_000_000, 3)
  old(named('b'), 600_000_000, 2)
  old(`${named('c')}.01990000-0000-7000-8000-000000000000`, 10, 1)
  const writing = startWriting(folder, named('d'), '00'.repeat(32))
  writing?.write(Buffer.from('kept'))
  writing?.finish()
  expect(readdirSync(path).sort()).toEqual([named('b'), named('d'), 'mine.txt'])
  expect(readKept(folder, named('d'), '00'.repeat(32))?.toString()).toBe('kept')
})

test('CA3: a cache that can be neither read nor written changes nothing, and is told once', async () => {
  const { root } = setUp()
  const blocked = join(createFolder({ file: 'x' }), 'file', 'kept')
  const { report, problems } = await run(root, blocked)
  expect(bodyOf(report)).toEqual(bodyOf((await run(root, undefined)).report))
  expect(problems).toEqual([expect.stringContaining("can't be written (ENOTDIR)")])
})

test('CA6: identity changes with the code that it stands for', () => {
  const { facts, report } = readIdentity()
  expect([facts, report]).toEqual([expect.stringMatching(/^[0-9a-f]{64}$/), expect.stringMatching(/^[0-9a-f]{64}$/)])
  expect(facts).not.toBe(report)
})

test('CA3: the cache is where this user keeps caches, never in what is audited', () => {
  expect(cachePlace({ XDG_CACHE_HOME: '/x', HOME: '/h' }, 'linux')).toBe(join('/x', 'ripstop'))
  expect(cachePlace({ XDG_CACHE_HOME: 'relative', HOME: '/h' }, 'linux')).toBe(join('/h', '.cache', 'ripstop'))
  expect(cachePlace({}, 'linux')).toBeUndefined()
})
