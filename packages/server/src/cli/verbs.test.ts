import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type FakeMesh, runCommand, startFakeMesh } from './fake-mesh.fixture.ts'
import { createGroup, verb, WrongUse } from './verbs.ts'

let mesh: FakeMesh
beforeAll(async () => {
  mesh = await startFakeMesh()
})
afterAll(() => mesh[Symbol.asyncDispose]())

const things = createGroup('things', 'things of all kinds', [
  verb({
    usage: 'list [--limit 50]',
    summary: 'lists them',
    options: { limit: { type: 'string', default: '50' } },
    run: async ({ values, show }) => {
      if (values.limit === 'x') throw new WrongUse('--limit takes a number')
      show({ limit: values.limit }, () => `at most ${values.limit}`)
      return 0
    },
  }),
  verb({
    usage: 'parts add NAME [COLOUR]',
    summary: 'adds a part',
    run: async ({ words, show }) => {
      show(words, () => words.join(' in '))
      return 0
    },
  }),
  verb({
    usage: 'parts redrive [ID…] [--all]',
    summary: 'again',
    options: { all: { type: 'boolean' } },
    run: async ({ words, show }) => {
      show(words, () => String(words.length))
      return 0
    },
  }),
])
const run = (...argv: string[]) => runCommand(things, mesh.url, argv)

describe('commands with verbs', () => {
  test('a verb is found by its own words and gets the rest; --json shows the data, else people read a text', async () => {
    expect(await run('list')).toEqual({ code: 0, out: 'at most 50\n', error: '' })
    expect((await run('list', '--limit', '7', '--json')).out).toBe('{\n  "limit": "7"\n}\n')
    expect((await run('parts', 'add', 'wheel')).out).toBe('wheel\n')
    expect((await run('parts', 'add', 'wheel', 'red')).out).toBe('wheel in red\n')
    expect((await run('parts', 'redrive', '1', '2', '3', '--all')).out).toBe('3\n')
    expect((await run('parts', 'redrive')).out).toBe('0\n')
  })

  test.each([
    [[], 'ripstop things list [--limit 50]'],
    [['frobnicate'], 'there is no `ripstop things frobnicate`. There is:\n  ripstop things list'],
    [['parts'], 'ripstop things parts add NAME'],
    [['parts', 'frobnicate'], 'ripstop things parts redrive'],
    [['parts', 'add'], 'NAME is missing\nusage: ripstop things parts add NAME [COLOUR]'],
    [['parts', 'add', 'wheel', 'red', 'round'], 'what is "round"? Options begin with --\nusage:'],
    [['list', '--limit', 'x'], '--limit takes a number\nusage: ripstop things list'],
    [['list', '--frobnicate'], "'--frobnicate'"],
    [['list', '--limit'], 'usage: ripstop things list [--limit 50]'],
  ])('%j is a wrong use: exit code 2, and what to write instead', async (argv, told) => {
    const { code, out, error } = await run(...argv)
    expect([code, out]).toEqual([2, ''])
    expect(error).toContain(told)
    expect(error).not.toMatch(/\n\s+at /)
  })

  test('of a wrong word only the verbs that are near are shown', async () => {
    expect((await run('parts', 'frobnicate')).error).not.toContain('things list')
  })

  test('--help tells the whole group, or one verb, with exit code 0', async () => {
    const group = await run('--help')
    expect(group).toMatchObject({ code: 0, error: '' })
    for (const part of ['ripstop things list', 'adds a part', 'RIPSTOP_KEY']) expect(group.out).toContain(part)
    const one = await run('parts', 'add', '--help')
    expect(one.code).toBe(0)
    expect(one.out).toContain('ripstop things parts add NAME [COLOUR]\n    adds a part')
  })
})
