import { systemClock } from '@ripstop/kernel'
import { expect, test } from 'vitest'
import { createFolder } from './folder.fixture.ts'
import { Parts } from './parts.ts'
import { buildReport } from './reports/build.ts'
import { brokenIn } from './reports/coverage.ts'
import { renderMarkdown } from './reports/markdown.ts'
import { readConfiguration } from './repository/read-configuration.ts'
import type { FileIndex } from './repository/repository.ts'
import { scan } from './scan.ts'

const SYSTEM = {
  'compose.yaml':
    'services:\n  api:\n    build: ./api\n    environment:\n      URL: http://db:1\n  db:\n    image: postgres:16\n',
  'api/main.ts': 'export async function save() {\n  try {\n    await store.write(1)\n  } catch {}\n}\n',
}

function throws(): never {
  throw new Error('out of luck')
}

test('QF2: a part that throws gives nothing, and is told', () => {
  const parts = new Parts([{ part: 'before', message: 'x' }])
  expect([parts.run('fine', () => 1, 0), parts.run('broken', throws, 0)]).toEqual([1, 0])
  expect(parts.broken).toEqual([
    { part: 'before', message: 'x' },
    { part: 'broken', message: 'out of luck' },
  ])
})

test('QF2: readers that throw cost what they read', () => {
  const parts = new Parts()
  const files = { list: throws } as unknown as FileIndex
  const configuration = readConfiguration(files, { run: (reader, read, nothing) => parts.run(reader, read, nothing) })
  expect(Object.values(configuration).flatMap((each) => [...each])).toEqual([])
  expect(parts.broken).toHaveLength(Object.keys(configuration).length)
})

test('QF2: a graph that cannot be completed costs neither findings nor what is declared, and every report says so', async () => {
  const scanned = await scan(createFolder(SYSTEM), { clock: systemClock, threads: 1 })
  const whole = buildReport(scanned, '1.0.0')
  const facts = new Map(
    [...scanned.repository.facts].map(([file, own]) => [
      file,
      Object.defineProperty({ ...own }, 'envReads', { get: throws }),
    ]),
  )
  const broken = buildReport({ ...scanned, repository: { ...scanned.repository, facts } }, '1.0.0')
  expect(brokenIn(whole.coverage)).toEqual([])
  expect(brokenIn(broken.coverage)).toEqual(['graph of what is called broke: out of luck'])
  expect(broken.findings.map(({ fingerprint }) => fingerprint)).toEqual(
    whole.findings.map(({ fingerprint }) => fingerprint),
  )
  expect(broken.graph.components.map(({ name }) => name)).toContain('db')
  expect(renderMarkdown(broken)).toContain('graph of what is called broke: out of luck')
})
