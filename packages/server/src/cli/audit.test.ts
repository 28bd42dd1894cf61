import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { audit } from './audit.ts'
import type { Terminal } from './terminal.ts'

async function run(...argv: readonly string[]) {
  const out: string[] = []
  const said: string[] = []
  const terminal: Terminal = {
    argv,
    cwd: process.cwd(),
    env: {},
    out: (text) => void out.push(text),
    error: (text) => void said.push(text),
    input: async () => '',
    isWatched: false,
    stopped: () => new Promise(() => {}),
  }
  return { code: await audit.run(terminal), out: out.join(''), said: said.join('') }
}

test('PK2: `ripstop audit` is the auditor, with its arguments and exit codes, under the name of the mesh', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'ripstop-test-audit-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  await writeFile(join(folder, 'a.ts'), 'export async function f() {\n  try {\n    await g()\n  } catch {}\n}\n')
  const { code, out } = await run(folder, '--format', 'json')
  expect([code, JSON.parse(out).findings[0].rule]).toEqual([1, 'swallowed-error'])
  expect(await run('--help')).toMatchObject({ code: 0, out: expect.stringMatching(/^ripstop audit DIR/) })
  expect(await run('--wrong')).toMatchObject({
    code: 2,
    said: expect.stringContaining('`ripstop audit --help` shows all of it'),
  })
})
