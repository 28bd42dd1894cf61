// Reports as their readers take them: people on a code host, GitHub, servers of continuous integration.

import { systemClock } from '@ripstop/kernel'
import { beforeEach, describe, expect, test } from 'vitest'
import { createFolder } from '../folder.fixture.ts'
import { scan } from '../scan.ts'
import { buildReport } from './build.ts'
import { unreadGroups } from './coverage.ts'
import { render } from './formats.ts'
import { briefly } from './plan.ts'
import type { Report } from './report.ts'

const TORN = 'export async function save() {\n  try {\n    await store.write(1)\n  } catch {}\n}\n'
const LONG = 'tenant-gateway-of-the-north-7'
const CALLERS = ['a', 'b', 'c', 'd', 'e', 'f', 'g']

const SYSTEM = {
  'compose.yml': [
    'services:',
    "  db: { image: 'postgres:16', ports: ['5432:5432'] }",
    '  other: { image: "x:1", depends_on: [db] }',
    `  ${LONG}: { image: "x:1", depends_on: [db, other] }`,
    ...CALLERS.map((name) => `  ${name}: { image: "x:1", depends_on: [db] }`),
    '',
  ].join('\n'),
  'src/a (1).ts': `${TORN}${TORN.replace('save', 'again')}`,
  'src/b.ts': 'export const ask = () => fetch("https://api.example.com/x")\n',
}

async function reportOf(files: Readonly<Record<string, string>>): Promise<Report> {
  return buildReport(await scan(createFolder(files), { clock: systemClock, threads: 1 }), '1.2.3')
}

let report: Report
let empty: Report

beforeEach(async () => {
  report = await reportOf(SYSTEM)
  empty = await reportOf({ 'main.go': 'package main' })
})

const grouped = (): Report['findings'][number] => {
  const found = report.findings.find(({ rule }) => rule === 'swallowed-error')
  if (found === undefined) throw new Error('the fixture has none')
  return found
}

describe('on a code host', () => {
  test('RW6: the grade, the top ten and the phases stand before anything folded, and tables are narrow', () => {
    const { text } = render(report, 'md')
    const before = text.slice(0, text.indexOf('<details>'))
    for (const head of ['**Grade: ', '## Top ten', '## What to do, in order', '## Service levels'])
      expect(before).toContain(head)
    expect(before.split('\n').length).toBeLessThan(45)
    const widths = text.split('\n').flatMap((line) => (line.startsWith('| --- ') ? [line.split('---').length - 1] : []))
    expect(widths.filter((width) => width > 6)).toHaveLength(1) // the checklist
    expect(text.match(/<details>/g)?.length).toBe(text.match(/<\/details>/g)?.length)
    for (const summary of text.matchAll(/<details><summary>.*\n(.*)/g)) expect(summary[1]).toBe('')
  })

  test('RW6: with links a place leads to its lines, whatever its name; without, none does', () => {
    expect(render(report, 'md').text).not.toContain('](')
    expect(render(report, 'md', '').text).toContain('[<code>src/a (1).ts:4</code>](src/a%20%281%29.ts#L4)')
    expect(render(report, 'md', '../..').text).toContain('](../../compose.yml#L')
  })

  test('RW4: where nothing was read there is the reason, and no empty table', () => {
    for (const format of ['md', 'html'] as const) {
      const { text } = render(empty, format)
      expect(text).toContain('not measurable here: nothing was read that rules know')
      expect(text).toContain('main.go')
      expect(text).not.toMatch(/<table|\| --- /)
    }
  })
})

describe('what was not read', () => {
  test('files of one reason are told together, with a few names', async () => {
    const many = Object.fromEntries(Array.from({ length: 9 }, (_, at) => [`${at}.go`, 'package main']))
    const { coverage } = await reportOf({ ...many, 'a.rs': 'fn main() {}' })
    expect(unreadGroups(coverage.unread).map(({ why, paths }) => [why, paths.length])).toEqual([
      ['unknown language (Go)', 9],
      ['unknown language (Rust)', 1],
    ])
    expect(render(await reportOf(many), 'md').text).toContain(
      '- unknown language (Go): 9 (static): <code>0.go</code>, ',
    )
  })

  test('the grade says what it rests on', () => {
    expect(report.gradeBecause).toMatch(/^(\d+ \w+, )*\d+ \w+ \(static\); [A-E] means /)
    expect(empty.gradeBecause).toContain('not measurable here')
  })
})

describe('in a line', () => {
  const BEFORE = 'Give every call a deadline that is shorter than the one of its caller'
  test.each([
    ['Set the variable; or refuse to start.', 'Set the variable.'],
    ['e.g. so it is. And so on.', 'e.g. so it is.'],
    [`${BEFORE}: one thing for fetch, another for axios, and a third for got and for what wraps it.`, `${BEFORE} …`],
    [
      `Throw unless response.ok (of fetch, or: like it), call raise_for_status(), ${'and more, '.repeat(9)}and so on`,
      /^Throw unless .*, and more …$/,
    ],
    [`${'word '.repeat(60)}end`, /^(word )+…$/],
  ])('%j is said as %j', (text, brief) => {
    expect(briefly(text)).toEqual(typeof brief === 'string' ? brief : expect.stringMatching(brief))
    expect(briefly(text).length).toBeLessThanOrEqual(122)
  })
})

describe('the picture', () => {
  const panel = (): string => /<svg[\s\S]*?<\/svg>/.exec(render(report, 'html').text)?.[0] ?? ''

  test('RW5: a long name keeps both ends', () => {
    expect(panel()).toMatch(/>tenant-ga\w*…north-7</)
  })

  test('RW5: links into what most call are faint, others are not', () => {
    const busy = [...panel().matchAll(/class="edge [^"]*busy"[^>]*>(?:<title>([^ ]+))?/g)].map(([, from]) => from)
    expect(busy.sort()).toEqual([...CALLERS, 'other', LONG].sort())
    expect(panel().match(/class="edge /g)).toHaveLength(busy.length + 1)
  })
})

describe('on GitHub', () => {
  test('RW7: an alert is known by our fingerprint, links to its other places, and has a severity where it is of security', () => {
    const { results, tool } = JSON.parse(render(report, 'sarif').text).runs[0]
    const one = grouped()
    const result = results.find(({ ruleId }: { ruleId: string }) => ruleId === one.rule)
    expect(result.partialFingerprints.primaryLocationLineHash).toBe(`${one.fingerprint}:1`)
    expect(result.message.text).toContain('[src/a (1).ts:9](1)')
    expect(result.relatedLocations[0]).toMatchObject({ id: 1, physicalLocation: { region: { startLine: 9 } } })
    const properties = (category: string) =>
      tool.driver.rules.find(
        ({ id }: { id: string }) => report.rules.find((rule) => rule.id === id)?.category === category,
      ).properties
    expect(properties('security')).toMatchObject({
      tags: ['security'],
      'security-severity': expect.stringMatching(/^\d\.\d$/),
    })
    expect(properties('guards')).not.toHaveProperty('security-severity')
  })
})

describe('in continuous integration', () => {
  test('RW8: the whole is the sum of its suites, and a failure names where to look', () => {
    const { text } = render(report, 'junit')
    const sum = (name: string, of: RegExp): readonly number[] =>
      [...text.matchAll(of)].map(([tag]) => Number(new RegExp(` ${name}="(\\d+)"`).exec(tag)?.[1]))
    for (const name of ['tests', 'failures', 'skipped', 'errors']) {
      const [whole] = sum(name, /<testsuites [^>]*>/g)
      expect(whole).toBe(sum(name, /<testsuite [^>]*>/g).reduce((all, one) => all + one, 0))
    }
    expect(text).toMatch(
      /name="swallowed-error" file="src\/a \(1\)\.ts" line="4" time="0">\n {3}<failure type="medium" message="1 strong finding: /,
    )
  })
})
