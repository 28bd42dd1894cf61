// The program as people start it: a process of its own, on input that nobody wished for.

import { spawnSync } from 'node:child_process'
import { chmodSync, readdirSync, statSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { createFolder } from './folder.fixture.ts'

const MAIN = join(import.meta.dirname, 'main.ts')
const TORN = 'export async function save() {\n  try {\n    await store.write(1)\n  } catch {}\n}\n'

interface Ran {
  readonly code: number | null
  readonly out: string
  readonly said: string
}

/** Without a cache, a shell, git or anything else in its environment. */
function run(...args: readonly string[]): Ran {
  const { status, stdout, stderr } = spawnSync(process.execPath, [MAIN, ...args], {
    encoding: 'utf8',
    env: { PATH: '/nowhere', HTTPS_PROXY: 'http://127.0.0.1:1' },
    timeout: 60_000,
    maxBuffer: 100_000_000,
  })
  return { code: status, out: stdout, said: stderr }
}

function reportOf({ out }: Ran) {
  const { findings, coverage } = JSON.parse(out)
  const unread = new Map<string, string>()
  for (const { path, why, detail = '' } of coverage.unread) unread.set(path, `${why} ${detail}`)
  return {
    places: findings.map((finding: { rule: string; evidence: { loc: { file: string } }[] }) => [
      finding.rule,
      finding.evidence[0]?.loc?.file,
    ]),
    unread,
  }
}

const aliases = (line: string) =>
  Array.from({ length: 30 }, (_, at) => `a${at}: &a${at} ${line.replaceAll('?', String(at - 1))}`)

const HOSTILE: Readonly<Record<string, string | Uint8Array>> = {
  'src/torn.ts': TORN,
  'src/broken.ts': 'export const = {{{',
  'src/deep.ts': '(\n'.repeat(100_000),
  'src/wordy.ts': 'await\n'.repeat(100_000),
  'src/minified.js': `var a=[${'1,'.repeat(5_000_000)}]`,
  'src/large.ts': 'export const a = 1\n'.repeat(120_000),
  'src/binary.ts': new Uint8Array(30_000),
  'src/later.ts': `${'// x\n'.repeat(4_000)}\0`,
  'src/broken.py': 'def f(:\n  x = (((\n',
  'src/runs.ts':
    'import { writeFileSync } from "node:fs"\nimport "./torn.ts"\nwriteFileSync(new URL("../ran", import.meta.url), "")\n',
  'src/runs.py': 'import os\nos.system("touch ran")\n',
  'src/plain.go': 'package main',
  'package.json': '{ "name": "x", "scripts": { "postinstall": "touch ran", }, "dependencies": {',
  'biome.json': '{',
  'compose.yml': 'include: [missing.yml]\nservices:\n  a:\n    image: x:1\n    env_file: [gone.env]\n',
  'k8s/broken.yaml': 'apiVersion: v1\nkind: Service\nmetadata: [\n',
  'k8s/bomb.yaml': `apiVersion: v1\nkind: ConfigMap\n${aliases('[*a?, *a?, *a?, *a?, *a?, *a?, *a?, *a?]').join('\n').replace('[*a-1, *a-1, *a-1, *a-1, *a-1, *a-1, *a-1, *a-1]', 'x')}\n`,
  'k8s/deep.yaml': `apiVersion: v1\nkind: ConfigMap\nx: ${'['.repeat(5_000)}\n`,
  'openapi.yaml': 'openapi: 3.0.0\npaths: {{{\n',
  'schema.sql': 'create table ('.repeat(5_000),
  Dockerfile: 'FROM\n\\\n\\\nRUN <<EOF\n',
  '.env': '=\nA==\n\0',
}

function treeOf(root: string): readonly string[] {
  return readdirSync(root, { recursive: true }).map(String).sort()
}

describe('bad input', () => {
  test('AX1: a hostile folder is read as far as it can be, the rest is told, nothing of it runs and nothing is written', () => {
    const root = createFolder(HOSTILE)
    symlinkSync('.', join(root, 'src/circle'))
    symlinkSync('/etc', join(root, 'out'))
    symlinkSync('nowhere', join(root, 'src/dangling.ts'))
    const before = treeOf(root)
    const ran = run(root, '--format', 'json')
    const { places, unread } = reportOf(ran)
    expect(ran.code).toBe(1)
    expect(places).toContainEqual(['swallowed-error', 'src/torn.ts'])
    for (const [path, why] of [
      ['src/broken.ts', /^broken syntax line 1/],
      ['src/broken.py', /^broken syntax line 1/],
      ['src/deep.ts', /^broken syntax nested too deep/],
      ['src/wordy.ts', /^broken syntax nested too deep/],
      ['src/minified.js', /^too large/],
      ['src/large.ts', /^too large/],
      ['src/binary.ts', /^binary/],
      ['src/later.ts', /^binary/],
      ['src/plain.go', /^unknown language Go/],
      ['package.json', /^broken syntax/],
      ['compose.yml', /^broken syntax line \d: .*(missing\.yml|gone\.env)/],
      ['k8s/broken.yaml', /^broken syntax/],
      ['k8s/bomb.yaml', /^broken syntax .*too many/],
      ['k8s/deep.yaml', /^broken syntax/],
      ['openapi.yaml', /^broken syntax/],
      ['out', /^symbolic link leads out/],
      ['src/dangling.ts', /^symbolic link leads nowhere/],
    ] as const)
      expect([path, unread.get(path)]).toEqual([path, expect.stringMatching(why)])
    expect(treeOf(root)).toEqual(before)
  }, 60_000)

  test('AX1: a file alone is a repository of one', () => {
    const root = createFolder({ 'a.ts': TORN, 'b.ts': TORN })
    const ran = run(join(root, 'a.ts'), '--format', 'json')
    expect([ran.code, reportOf(ran).places]).toEqual([1, [['swallowed-error', 'a.ts']]])
  })

  test.each([
    ['an empty folder', {}, 'not measurable here'],
    [
      'a folder in a language that it does not know',
      { 'a.go': 'x', 'b/c.rb': 'x' },
      'unknown language: 2 (a.go, b/c.rb)',
    ],
    ['a folder of binary files', { 'a.ts': new Uint8Array(10) }, 'binary: 1 (a.ts)'],
  ])('AX1, AX2: %s is not called clean, and why is said', (_, files, said) => {
    const ran = run(createFolder(files))
    expect(ran).toMatchObject({ code: 2, said: expect.stringContaining(said) })
  })

  test.skipIf(process.getuid?.() === 0)('AX1: a folder that may not be opened is told', () => {
    const root = createFolder({ 'a.ts': TORN, 'closed/b.ts': TORN })
    chmodSync(join(root, 'closed'), 0)
    const ran = run(root, '--format', 'json')
    chmodSync(join(root, 'closed'), 0o700)
    expect(reportOf(ran).unread.get('closed')).toMatch(/^unreadable/)
  })
})

describe('the process', () => {
  test('AX3, AX6: progress goes to stderr, a few lines of it; the report alone is on stdout', () => {
    const files = Object.fromEntries(
      Array.from({ length: 500 }, (_, at) => [`src/${at}.ts`, `export const a = ${at}\n`]),
    )
    const { code, out, said } = run(createFolder(files), '--timings', '--format', 'json')
    expect([code, JSON.parse(out).format]).toEqual([0, 'ripstop-audit'])
    expect(said).toMatch(/\ngrade A: 0 strong, 0 for review \(static\)\n$/)
    expect(said).toMatch(/\d ms {2}rule {4}swallowed-error\n/)
    expect(said.split('\n').filter((line) => line.startsWith('reading sources')).length).toBeLessThan(5)
  })

  test('CA3: without a home there is no cache; with --cache it is where it is told', () => {
    const root = createFolder({ 'src/a.ts': TORN, 'kept/': '' })
    const cache = join(createFolder({ 'kept/': '' }), 'kept')
    expect(run(root).said).not.toContain('cache')
    run(root, '--cache', cache)
    expect(run(root, `--cache=${cache}`).said).toContain('nothing has changed since the last audit')
    expect(run(root, '--cache', cache, '--no-cache').said).not.toContain('nothing has changed')
    expect(statSync(cache).isDirectory()).toBe(true)
  })
})
