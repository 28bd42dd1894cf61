import { expect, test } from 'vitest'
import { compileFilter, type Verdict } from './filter.ts'

const EVENT = {
  specversion: '1.0',
  type: 'order.paid',
  time: '2026-11-21T12:00:00Z',
  data: {
    amount: 150,
    price: 1.5,
    tags: ['a', 'b'],
    customer: { name: 'Bob', vip: true, x: null },
    items: [{ sku: 'x', n: 2 }],
    text: 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!',
  },
}
const run = (text: string, event: Record<string, unknown> = EVENT): Verdict =>
  compileFilter(text).test(event, JSON.stringify(event).length)

test.each([
  ['event.data.amount > 100', 'match'],
  ['event.data.amount == 150', 'match'],
  ['event.data.amount + 1 == 151', 'match'],
  ['event.data.amount * 2 > 299 && event.data.amount % 2 == 0.0', 'match'],
  ['event.data.price > 1', 'match'],
  ['event.type == "order.paid" && "a" in event.data.tags', 'match'],
  ['has(event.data.customer.vip) && event.data.customer.vip', 'match'],
  ['!has(event.data.nothing)', 'match'],
  ['event.data.customer.name.matches("^B.b$")', 'match'],
  ['event.data.items.exists(i, i.sku == "x" && i.n >= 2)', 'match'],
  ['event.data.items.filter(i, i.n > 5).size() == 0', 'match'],
  ['timestamp(event.time) > timestamp("2020-01-01T00:00:00Z")', 'match'],
  ['event.data.amount in [1, 2]', 'no match'],
  ['event.data.customer.x == null', 'match'],
  ['event.data.amount > 1000', 'no match'],
])('%s: %s', (text, expected) => {
  expect(run(text)).toBe(expected)
})

test.each([
  'event.data.missing == 1',
  'event.data.customer > 1',
  'event.type',
  'event.data.text + 1 == "x"',
  'int(event.data.customer.name) > 1',
  'event.data.tags[7] == "a"',
  'event.data.amount / 0 == 1',
])('WF2: %s can not be told: it is an error, not a throw', (text) => {
  const verdict = run(text)
  if (verdict !== 'no match') expect(verdict).toEqual({ error: expect.any(String) })
})

test.each([
  ['', 'nothing'],
  ['event.data.amount >', 'syntax'],
  ['foo == 1', 'an unknown name'],
  ['1 + 1', 'no bool'],
  ['"a" + event.data.text', 'no bool'],
  ['event.data.amount > 1 && '.repeat(200), 'length'],
  [`event${'.a'.repeat(300)} == 1`, 'size'],
  [`[${'1,'.repeat(300)}1].size() > 1`, 'size'],
  ['cel.bind(a, event.data.text + event.data.text, a == "")', 'bind, which grows exponentially'],
  ['event.data.tags.map(t, t + t).size() > 1', 'map'],
  ['event.data.text.split("").size() > 1', 'split'],
  ['b"x".json().a == 1', 'json'],
  ['event.data.text.matches(event.data.text)', 'a regular expression of the event'],
  ['event.data.text.matches("(")', 'a broken regular expression'],
  ['event.data.text.matches("(?=a)")', 'what RE2 does not know'],
  [`event.data.text.matches("${'a'.repeat(300)}")`, 'a long regular expression'],
  ['event.data.text.matchesLinear("a")', 'our own function'],
  ['(() => 1)() == 1', 'JavaScript'],
])('a filter is refused when it is given: %s (%s)', (text) => {
  expect(() => compileFilter(text)).toThrowError(expect.objectContaining({ code: 'FILTER_INVALID' }))
})

test('WF3: nothing of JavaScript can be reached', () => {
  for (const text of [
    'event.constructor',
    'event.__proto__',
    'event.data.tags.length',
    'event.toString',
    'event.data["__proto__"]',
  ]) {
    expect(run(`${text} == 1`)).toEqual({ error: expect.any(String) })
  }
  expect(run('has(event.constructor)')).toBe('no match')
  const hostile = JSON.parse('{"data":{"__proto__":{"admin":true},"constructor":1}}') as Record<string, unknown>
  expect(run('has(event.data.admin)', hostile)).not.toBe('match')
})

test('WF2: regular expressions that blow up elsewhere are linear here', () => {
  const text = 'a'.repeat(5_000)
  const startedMs = performance.now()
  expect(run('event.data.text.matches("^(a+)+$")', { data: { text: `${text}!` } })).toBe('no match')
  expect(performance.now() - startedMs).toBeLessThan(1_000)
  expect(run('event.data.text.matches("x")', { data: { text: 'a'.repeat(20_000) } })).toEqual({
    error: expect.stringContaining('too long'),
  })
})

test('WF2: loops within loops over long lists are refused before they run, short ones are not', () => {
  const list = Array.from({ length: 2_000 }, (_, index) => index)
  const nested = 'event.data.list.all(a, event.data.list.all(b, a + b >= 0))'
  const startedMs = performance.now()
  expect(run(nested, { data: { list } })).toEqual({ error: expect.stringContaining('too long') })
  const doubled = `(${Array(20).fill('event.data.list').join(' + ')}).exists(a, a < 0)`
  expect(run(doubled, { data: { list } })).toEqual({ error: expect.stringContaining('too long') })
  const zones = `event.data.list.all(a, timestamp(event.time).getHours("Europe/Berlin") >= 0)`
  expect(run(zones, { time: EVENT.time, data: { list } })).toEqual({ error: expect.stringContaining('too long') })
  expect(performance.now() - startedMs).toBeLessThan(500)
  expect(run('event.data.list.exists(a, a == 1999)', { data: { list } })).toBe('match')
  expect(run(nested, { data: { list: [1, 2, 3] } })).toBe('match')
})

test('WF2: a filter that failed once judges the next event, with a budget of its own', () => {
  const filter = compileFilter('event.data.text.matches("b$")')
  const bytes = 100
  expect(filter.test({ data: { text: 'a'.repeat(20_000) } }, bytes)).toEqual({ error: expect.any(String) })
  expect(filter.test({ data: { text: 'ab' } }, bytes)).toBe('match')
  expect(filter.test({ data: { text: `${'a'.repeat(9_000)}b` } }, bytes)).toBe('match')
  expect(filter.test({ data: { text: `${'a'.repeat(9_000)}b` } }, bytes)).toBe('match')
})
