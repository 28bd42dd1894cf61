import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { systemClock } from '@ripstop/kernel'
import { describe, expect, test } from 'vitest'
import { runCommand } from './command.ts'
import { createFolder } from './folder.fixture.ts'

interface Ran {
  readonly code: number
  readonly out: string
  readonly said: string
}

async function run(...args: readonly string[]): Promise<Ran> {
  const out: string[] = []
  const said: string[] = []
  const code = await runCommand(args, {
    clock: { ...systemClock, wallMs: () => Date.parse('2026-11-22T12:00:00Z') },
    program: 'ripstop-audit',
    version: '1.2.3',
    env: {},
    isWatched: false,
    out: (text) => void out.push(text),
    say: (text) => void said.push(text),
    readText: (path) => readFileSync(path, 'utf8'),
    writeText: (path, text) => writeFileSync(path, text),
  })
  return { code, out: out.join(''), said: said.join('') }
}

const TORN = 'export async function save() {\n  try {\n    await store.write(1)\n  } catch {}\n}\n'
const WHOLE = 'export const a = 1\n'

describe('auditing', () => {
  test('AX2, AX3: what is whole is 0, what is torn 1; the report is on stdout and the words on stderr', async () => {
    expect((await run(createFolder({ 'src/a.ts': WHOLE }))).code).toBe(0)
    const { code, out, said } = await run(createFolder({ 'src/a.ts': TORN }), '--format', 'json')
    expect(code).toBe(1)
    expect(JSON.parse(out).findings[0]).toMatchObject({
      rule: 'swallowed-error',
      evidence: [{ loc: { file: 'src/a.ts', line: 4 } }],
    })
    expect(said).toContain('grade B: 1 strong')
  })

  test('AX1, AX2, AX4: an empty folder, and one in a language that is not read, are survived, told, and not called clean', async () => {
    const empty = await run(createFolder({ 'README.md': 'x' }))
    expect([empty.code, empty.out]).toEqual([2, expect.stringContaining('not measurable here')])
    const go = await run(createFolder({ 'main.go': 'package main', 'b.go': 'package main' }))
    expect(go).toMatchObject({
      code: 2,
      said: expect.stringContaining('not read, unknown language: 2 (b.go, main.go)'),
    })
  })

  test('AX1: broken, minified, huge and binary files cost only themselves', async () => {
    const root = createFolder({
      'src/broken.ts': 'export const = {{{',
      'src/min.ts': `var a=[${'1,'.repeat(50_000)}]`,
      'src/huge.ts': `${'// x\n'.repeat(500_000)}`,
      'src/binary.ts': new Uint8Array(3_000),
      'src/torn.ts': TORN,
    })
    const { code, said } = await run(root)
    expect(code).toBe(1)
    for (const why of ['broken syntax: 1', 'too large: 1', 'binary: 1']) expect(said).toContain(`not read, ${why}`)
  })

  test('AX1: what a compose file includes and is not there is told', async () => {
    const root = createFolder({ 'compose.yml': 'include: [missing.yml]\nservices: {}\n', 'src/a.ts': WHOLE })
    expect((await run(root)).said).toContain('not read, broken syntax: 1 (compose.yml)')
  })

  test('AX1: nothing of the folder is executed or imported', async () => {
    const root = createFolder({
      'package.json': '{"type":"module","scripts":{"postinstall":"touch ran"}}',
      'src/a.ts': 'import { writeFileSync } from "node:fs"\nwriteFileSync(new URL("../ran", import.meta.url), "")\n',
    })
    await run(root)
    expect(() => readFileSync(join(root, 'ran'))).toThrow()
  })

  test('AX3: several formats are written side by side, each with its ending', async () => {
    const root = createFolder({ 'src/a.ts': TORN, 'out/': '' })
    const { out } = await run(root, '--format=md,html,json,sarif,junit', '--out', join(root, 'out/report.json'))
    expect(out).toBe('')
    const first = (ending: string): string => readFileSync(join(root, `out/report${ending}`), 'utf8').slice(0, 9)
    expect(['.md', '.html', '.json', '.sarif', '.junit.xml'].map(first)).toEqual([
      '# Audit o',
      '<!doctype',
      '{\n  "form',
      '{\n "$sche',
      '<?xml ver',
    ])
  })

  test('AX2: with a baseline only what is new or worse counts', async () => {
    const root = createFolder({ 'src/a.ts': TORN, 'kept/': '' })
    const baseline = join(root, 'kept/base.json')
    await run(root, '--format', 'json', '--out', baseline)
    writeFileSync(join(root, 'src/a.ts'), `\n\n${TORN}`)
    expect(await run(root, '--baseline', baseline)).toMatchObject({
      code: 0,
      said: expect.stringContaining('0 new, 0 worse, 0 gone'),
    })
    writeFileSync(join(root, 'src/a.ts'), `${TORN}${TORN.replace('save', 'again')}`)
    expect(await run(root, '--baseline', baseline)).toMatchObject({
      code: 1,
      said: expect.stringContaining('0 new, 1 worse, 0 gone'),
    })
    writeFileSync(join(root, 'src/b.ts'), TORN)
    const now = join(root, 'kept/now.json')
    await run(root, '--format', 'json', '--out', now)
    const { code, out } = await run('diff', baseline, now)
    expect([code, out.split('\n').at(-2)]).toEqual([1, '1 new, 1 worse, 0 gone, 0 as before'])
    expect(await run('diff', now, baseline)).toMatchObject({
      code: 0,
      out: expect.stringContaining('- medium strong swallowed-error'),
    })
  })

  test('AX2: suppressed is not torn; a suppression that ended is told', async () => {
    const suppressed = (comment: string) => TORN.replace('  } catch', `  ${comment}\n  } catch`)
    const fine = createFolder({ 'src/a.ts': suppressed('// ripstop-ignore swallowed-error: a hint') })
    expect((await run(fine)).code).toBe(0)
    const ended = createFolder({ 'src/a.ts': suppressed('// ripstop-ignore swallowed-error until=2026-01-01: a hint') })
    expect(await run(ended)).toMatchObject({ code: 1, said: expect.stringContaining('expired after 2026-01-01') })
  })

  test('AX4: a work tree of git without what it ignores', async () => {
    const root = createFolder({ '.gitignore': 'src/local.ts', 'src/local.ts': TORN, 'src/a.ts': WHOLE })
    mkdirSync(join(root, '.git'))
    expect((await run(root)).code).toBe(0)
  })
})

describe('arguments', () => {
  test.each([
    [[], 'name the folder'],
    [['a', 'b'], 'b is too much'],
    [['a', '--fast'], '--fast is no option'],
    [['a', '--format', 'pdf'], 'pdf is no format'],
    [['a', '--out'], '--out needs a value'],
    [['diff', 'a'], 'diff takes two'],
    [['explain', 'no-such-rule'], 'no rule is called no-such-rule'],
  ])('AX5, AX2: %j is refused with %j', async (args, problem) => {
    expect(await run(...args)).toMatchObject({ code: 2, out: '', said: expect.stringContaining(`AUDIT_USAGE: `) })
    expect((await run(...args)).said).toContain(problem)
  })

  test('AX2: a folder that is not there, and a baseline that is none, are 2', async () => {
    const root = createFolder({ 'a.ts': WHOLE, 'base.json': '{}' })
    expect(await run(join(root, 'missing'))).toMatchObject({
      code: 2,
      said: expect.stringContaining('AUDIT_TARGET_INVALID'),
    })
    expect(await run(root, '--baseline', join(root, 'base.json'))).toMatchObject({
      code: 2,
      said: expect.stringContaining('AUDIT_REPORT_INVALID'),
    })
  })

  test('AX5: help, version and explain answer on stdout', async () => {
    expect(await run('--help')).toMatchObject({ code: 0, out: expect.stringContaining('ripstop-audit DIR') })
    expect(await run('--version')).toEqual({ code: 0, out: '1.2.3\n', said: '' })
    expect((await run('explain', 'swallowed-error')).out).toContain('An error is caught and vanishes')
    expect((await run('explain')).out).toContain('swallowed-error')
  })
})
