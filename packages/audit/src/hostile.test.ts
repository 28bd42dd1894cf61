import { systemClock } from '@ripstop/kernel'
import { expect, test } from 'vitest'
import { createFolder } from './folder.fixture.ts'
import { scan } from './scan.ts'

const SECONDS_MAX = 10
const each = (count: number, write: (index: number) => string): string =>
  Array.from({ length: count }, (_, index) => write(index)).join('\n')

// Each took from 19 seconds to minutes.
test.each([
  ['blank lines in YAML', { 'a.yaml': '\n'.repeat(400_000) }],
  ['blank lines in a schema', { 'a.prisma': `model ${'\n'.repeat(400_000)}` }],
  [
    'spaces in a list of submodules',
    {
      '.gitmodules': `path = ${' '.repeat(200_000)}x`,
      Dockerfile: 'FROM a',
      'compose.yaml': 'services: {a: {build: {context: ., dockerfile: x}}}',
    },
  ],
  [
    'a long word in a function that asks over HTTP',
    {
      'a.py': `import requests\ndef f():\n    req = requests.get('http://x', timeout=1)\n    x = '${'a'.repeat(150_000)}'\n    return req.json()\n`,
    },
  ],
  [
    'many statements in one function',
    {
      'a.ts': `export async function f(req) {\n${each(4_000, (n) => `const v${n} = await get(${n})\nif (!v${n}) await prisma.user.create({ data: req.body })`)}\n}\napp.post('/x', f)\n`,
    },
  ],
  [
    'many handlers in one file',
    { 'a.ts': each(12_000, (n) => `export async function f${n}() { try { await g${n}() } catch {} }`) },
  ],
])('QF5: %s are read in time', { timeout: 120_000 }, async (_, texts) => {
  const from = process.cpuUsage()
  await scan(createFolder(texts), { clock: systemClock, threads: 1 })
  expect(process.cpuUsage(from).user / 1e6).toBeLessThan(SECONDS_MAX)
})
