import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { systemClock } from '@ripstop/kernel'
import { describe, expect, test } from 'vitest'
import { runCommand } from './command.ts'
import { createFolder } from './folder.fixture.ts'
import { createIo, type Io } from './io.ts'

interface Ran {
  readonly code: number
  readonly out: string
  readonly said: string
}

function run(...args: readonly string[]): Promise<Ran> {
  return runOn({}, ...args)
}

async function runOn(
  { columns, isWatched = false, env = {} }: Partial<Pick<Io, 'columns' | 'isWatched' | 'env'>>,
  ...args: readonly string[]
): Promise<Ran> {
  const out: string[] = []
  const said: string[] = []
  const io = createIo({
    program: 'ripstop-audit',
    env,
    isWatched,
    columns,
    out: (text) => void out.push(text),
    say: (text) => void said.push(text),
  })
  const clock = { ...systemClock, wallMs: () => Date.parse('2026-11-22T12:00:00Z') }
  const code = await runCommand(args, { ...io, clock, version: '1.2.3' })
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

  test('RW3: without --format the ending of --out says which; a folder gets `audit` in it, and is made', async () => {
    const root = createFolder({ 'src/a.ts': TORN, 'out/': '' })
    const head = (path: string): string => readFileSync(join(root, path), 'utf8').slice(0, 9)
    await run(root, '--out', join(root, 'out/page.html'))
    await run(root, '--out', join(root, 'out'))
    await run(root, '--format', 'md,sarif', '--out', `${join(root, 'new/deep')}/`)
    expect(['out/page.html', 'out/audit.md', 'new/deep/audit.md', 'new/deep/audit.sarif'].map(head)).toEqual([
      '<!doctype',
      '# Audit o',
      '# Audit o',
      '{\n "$sche',
    ])
  })

  test('RW3: where no report can be written nothing is audited, and it is said why', async () => {
    const root = createFolder({ 'src/a.ts': TORN })
    expect(await run(root, '--out', join(root, 'src/a.ts/report.md'))).toEqual({
      code: 2,
      out: '',
      said: expect.stringMatching(
        /^AUDIT_OUT_UNWRITABLE: \S+ can't be written: a file stands where a folder should be\n/,
      ),
    })
    expect(await run(root, '--baseline', join(root, 'none.json'))).toMatchObject({
      code: 2,
      said: expect.stringContaining('AUDIT_INPUT_UNREADABLE'),
    })
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

test.skipIf(process.getuid?.() === 0)(
  'RW3: a folder that this user may not write is told before the work',
  async () => {
    const root = createFolder({ 'src/a.ts': TORN, 'closed/': '' })
    chmodSync(join(root, 'closed'), 0o500)
    const { code, said } = await run(root, '--out', join(root, 'closed/report.md'))
    chmodSync(join(root, 'closed'), 0o700)
    expect([code, said]).toEqual([
      2,
      expect.stringMatching(/^AUDIT_OUT_UNWRITABLE: \S+ can't be written: this user may not\n/),
    ])
  },
)

describe('at a terminal', () => {
  const BACK = '\u001b[0m'

  test('RW1, RW3: the grade, the worst with place and remedy, and the page in the cache; no document', async () => {
    const root = createFolder({ 'src/a.ts': TORN, 'cache/': '' })
    const { code, out, said } = await runOn({ columns: 200, env: { HOME: root } }, root)
    const page = join(root, '.cache/ripstop/pages', `${basename(root)}.html`)
    const lines = said.split('\n')
    expect([code, out]).toEqual([1, ''])
    expect(lines[0]).toBe('grade B: 1 strong (1 medium), 0 for review (static)')
    expect(lines[1]).toMatch(/^1 medium src\/a\.ts:4: An error is caught and vanishes\. Do: \S/)
    expect(lines.slice(2)).toEqual([`page: ${page}`, ''])
    expect(readFileSync(page, 'utf8').slice(0, 9)).toBe('<!doctype')
    const uncached = await runOn({ columns: 200, env: { HOME: root } }, root, '--no-cache')
    expect(uncached.said.split('\n').at(-2)).toBe('for the page: --format html --out FILE')
  })

  test('RW1: no line is wider than the terminal, and what the repository holds moves no cursor', async () => {
    const root = createFolder({
      'src/\u001b[31m \u202Eodd.ts': TORN,
      'src/b.ts': TORN,
      '\u001b[2Jb.go': 'package main',
    })
    const { said } = await runOn({ columns: 60 }, root, '--no-cache')
    expect(Math.max(...said.split('\n').map((line) => line.length))).toBeLessThan(60)
    expect(said.replaceAll('\n', '')).not.toMatch(/[\p{Cc}\p{Bidi_Control}]/u)
    expect(
      (await runOn({ columns: 60 }, 'explain', 'lost-update')).out.replaceAll(/^(\$ |source: ).*/gm, ''),
    ).not.toMatch(/.{61}/)
    expect((await runOn({ columns: 60 }, 'explain')).out).not.toMatch(/.{61}/)
    expect((await runOn({ columns: 60 }, '--help')).out).not.toMatch(/.{61}/)
    expect((await runOn({ columns: 60 }, '--help')).out).toMatch(/^ {2}--format {4}one or more/m)
  })

  test('RW2: colour is for a terminal that has not asked for none, and without it the words are the same', async () => {
    const root = createFolder({ 'src/a.ts': TORN })
    const said = async (isWatched: boolean, env = {}): Promise<string> => {
      const ran = await runOn({ isWatched, columns: 100, env }, root, '--no-cache')
      return ran.said.slice(ran.said.lastIndexOf('\u001b[2K') + 1).replace(/^\[2K/, '')
    }
    const plain = await said(false)
    const painted = await said(true)
    expect(painted).toContain(`\u001b[33m1 medium${BACK}`)
    expect(painted.replaceAll(/\p{Cc}\[\d+m/gu, '')).toBe(plain)
    for (const env of [{ NO_COLOR: '1' }, { TERM: 'dumb' }]) expect(await said(true, env)).toBe(plain)
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
    [['explain', 'no-such-rule'], 'no rule is called no-such-rule; `explain`'],
    [['explain', 'lost-updte'], 'no rule is called lost-updte (did you mean lost-update?)'],
    [['explain', 'swallowed-errror'], '(did you mean swallowed-error?)'],
    [['a', '--formt', 'md'], '--formt is no option (did you mean --format?)'],
  ])('AX5, AX2: %j is refused with %j', async (args, problem) => {
    expect(await run(...args)).toMatchObject({ code: 2, out: '', said: expect.stringContaining(`AUDIT_USAGE: `) })
    const { said } = await run(...args)
    expect(said).toContain(problem)
    // All of the usage is for who has said nothing; a slip has one line to read.
    expect(said.split('\n').length > 5).toBe(args.length === 0)
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
