import { expect, test } from 'vitest'
import { completeGraph } from '../graph/complete.ts'
import type { Finding } from '../model/finding.ts'
import { repositoryOf } from '../repository/repository.fixture.ts'
import { reproductions } from './reproduction.ts'
import { waysInto } from './way-in.ts'

function finding(rule: string, file: string, line: number, more: Partial<Finding> = {}): Finding {
  return {
    ...{ fingerprint: 'f', rule, severity: 'high', tier: 'strong', status: 'suspected', title: rule },
    ...{ symptom: '', rootCause: '', component: undefined, link: undefined, reproduction: undefined },
    evidence: [{ provenance: 'static', loc: { file, line, endLine: line }, what: '' }],
    ...{ remedies: [], owner: undefined, suppressed: undefined },
    ...more,
  }
}

const SHOP = {
  'src/main.ts': `import express from 'express'
import { pay } from './pay'
const app = express()
app.post('/orders', (request, response) => {
  pay(request.body).then(() => response.end())
})
setInterval(async () => {
  sweep()
}, 1000)
function sweep() {
  return fetch('http://payments/sweep')
}
function orphan() {
  return fetch('http://payments/never')
}
app.listen(80)
`,
  'src/pay.ts': `export async function pay(order) {
  await charge(order)
}
async function charge(order) {
  return fetch('http://payments/charge')
}
`,
}

test.each([
  ['through functions of two files', 'src/pay.ts', 5, 'POST /orders'],
  ['in the handler itself', 'src/main.ts', 5, 'POST /orders'],
  ['where it is declared', 'src/main.ts', 4, 'POST /orders'],
  ['a timer', 'src/main.ts', 11, 'a round of the timer at src/main.ts:7'],
  ['nothing leads there', 'src/main.ts', 14, undefined],
  ['a file that has no facts', 'compose.yml', 1, undefined],
])('QS14: the way in, %s', (_what, file, line, way) => {
  expect(waysInto(repositoryOf(SHOP))({ file, line, endLine: line })).toBe(way)
})

test('QS14: what somebody outside can cause comes before what happens by itself', () => {
  const both = `${SHOP['src/main.ts']}app.get('/sweep', () => sweep())\n`
  expect(waysInto(repositoryOf({ 'src/main.ts': both }))({ file: 'src/main.ts', line: 11, endLine: 11 })).toBe(
    'GET /sweep',
  )
})

test('QS15: functions that call each other, and crowds of them, end', () => {
  const chain = Array.from({ length: 200 }, (_, index) => `function f${index}() { f${index + 1}(); f${index - 1}() }`)
  const text = `${chain.join('\n')}\nsetInterval(f0, 5)\n`
  const ways = waysInto(repositoryOf({ 'src/a.ts': text }))
  expect(ways({ file: 'src/a.ts', line: 10, endLine: 10 })).toBe('a round of the timer at src/a.ts:201')
  expect(ways({ file: 'src/a.ts', line: 190, endLine: 190 })).toBe(undefined)
})

test('QS14: a finding gets the recipe of its rule with component, link and route put in', () => {
  const compose = 'services:\n  shop: { build: . }\n  payments: { image: pay }\n'
  const repository = repositoryOf({ 'compose.yml': compose, ...SHOP })
  const { findings } = completeGraph(repository, [
    finding('http-no-timeout', 'src/pay.ts', 5),
    finding('hardcoded-secret', 'src/pay.ts', 5),
    finding('http-no-timeout', 'src/main.ts', 14),
  ])
  const [known, read, orphan] = findings.map(({ reproduction }) => reproduction)
  expect(known).toMatchObject({ demonstration: 'silent-dependency', through: 'POST /orders' })
  expect(known?.steps).toContain('Cause this and wait a minute: POST /orders.')
  expect(known?.steps[0]).toContain('put a proxy before payments, and point shop to')
  expect(read).toBe(undefined)
  expect(orphan?.steps).toContain('Cause this and wait a minute: what leads to src/main.ts:14.')
  expect(orphan?.through).toBe(undefined)
  expect(orphan?.steps[0]).toContain('put a proxy before payments')
})

test('QS14: in words what is not known is said in words', () => {
  const [step] = reproductions(repositoryOf({}))(finding('http-no-timeout', 'a.ts', 1), undefined)?.steps ?? []
  expect(step).toContain('put a proxy before what it calls, and point the service to')
})

test.each(['a; rm -rf /', '$(reboot)', '-h', 'two words', "it's", ''])(
  'QS13: in a command %j stays the word in capitals',
  (name) => {
    const recipe = reproductions(repositoryOf({}))
    const steps = recipe(finding('fatal-on-start', 'a.ts', 1, { component: name }), name)?.steps ?? []
    expect(steps.filter((step) => step.startsWith('$ '))).toEqual([
      '$ docker compose stop DEPENDENCY',
      '$ docker compose up -d --no-deps SERVICE',
      '$ docker compose start DEPENDENCY',
      '$ docker compose ps -a SERVICE',
    ])
    expect(recipe(finding('fatal-on-start', 'a.ts', 1, { component: 'api' }), 'db')?.steps[0]).toContain('stop db')
  },
)
