import { expect, test } from 'vitest'
import { exposeMetrics } from './exposition.ts'
import { Metrics, SERIES_MAX } from './metrics.ts'

test('the text format, to the letter', () => {
  const metrics = new Metrics()
  metrics.counter('calls_total', 'Calls by outcome', { link: 'pg.main', outcome: 'ok' }).add(3)
  metrics.counter('calls_total', 'Calls by outcome', { link: 'pg.main', outcome: 'failed' }).add(0.5)
  metrics.gauge('up', '1 while up').set(1)
  const histogram = metrics.histogram('seconds', 'How long', { link: 'a' })
  for (const seconds of [0.0005, 0.0006, 0.3, 100]) histogram.observe(seconds)
  expect(metrics.text()).toBe(`# HELP calls_total Calls by outcome
# TYPE calls_total counter
calls_total{link="pg.main",outcome="ok"} 3
calls_total{link="pg.main",outcome="failed"} 0.5
# HELP up 1 while up
# TYPE up gauge
up 1
# HELP seconds How long
# TYPE seconds histogram
seconds_bucket{link="a",le="0.0005"} 1
seconds_bucket{link="a",le="0.001"} 2
seconds_bucket{link="a",le="0.0025"} 2
seconds_bucket{link="a",le="0.005"} 2
seconds_bucket{link="a",le="0.01"} 2
seconds_bucket{link="a",le="0.025"} 2
seconds_bucket{link="a",le="0.05"} 2
seconds_bucket{link="a",le="0.1"} 2
seconds_bucket{link="a",le="0.25"} 2
seconds_bucket{link="a",le="0.5"} 3
seconds_bucket{link="a",le="1"} 3
seconds_bucket{link="a",le="2.5"} 3
seconds_bucket{link="a",le="5"} 3
seconds_bucket{link="a",le="10"} 3
seconds_bucket{link="a",le="30"} 3
seconds_bucket{link="a",le="+Inf"} 4
seconds_sum{link="a"} 100.3011
seconds_count{link="a"} 4
`)
})

test('labels and help are escaped, infinities are spelt as Prometheus does', () => {
  const metrics = new Metrics()
  metrics
    .gauge('odd', 'One line\nand a \\ back', { path: 'C:\\dir', said: 'so "much"\nfor that' })
    .set(Number.POSITIVE_INFINITY)
  metrics.gauge('low', 'Low').set(Number.NEGATIVE_INFINITY)
  const lines = metrics.text().split('\n')
  expect(lines).toContain('# HELP odd One line\\nand a \\\\ back')
  expect(lines).toContain('odd{path="C:\\\\dir",said="so \\"much\\"\\nfor that"} +Inf')
  expect(lines).toContain('low -Inf')
})

test('the same name and labels are the same series', () => {
  const metrics = new Metrics()
  metrics.counter('hits_total', 'Hits', { a: '1' }).add(1)
  metrics.counter('hits_total', 'Hits', { a: '1' }).add(2)
  expect(metrics.text()).toContain('hits_total{a="1"} 3')
})

test('a name keeps its type: the second one would write over its neighbours', () => {
  const metrics = new Metrics()
  metrics.counter('mixed', 'Mixed')
  expect(() => metrics.histogram('mixed', 'Mixed')).toThrow('mixed')
})

test('MT1: a family never holds more than SERIES_MAX series; the rest share one', () => {
  const metrics = new Metrics()
  const first = metrics.counter('by_user_total', 'By user', { user: '0' })
  for (let user = 0; user < SERIES_MAX + 500; user++)
    metrics.counter('by_user_total', 'By user', { user: String(user) }).add(1)
  first.add(10)
  const lines = metrics
    .text()
    .split('\n')
    .filter((line) => line.startsWith('by_user_total'))
  expect(lines.length).toBe(SERIES_MAX)
  expect(lines).toContain('by_user_total{user="0"} 11')
  expect(lines.at(-1)).toBe('by_user_total{overflow="true"} 501')
  const total = lines.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0)
  expect(total).toBe(SERIES_MAX + 500 + 10)
})

test('series made before the slab grew keep counting', () => {
  const metrics = new Metrics()
  const early = metrics.counter('early_total', 'Early')
  const histogram = metrics.histogram('early_seconds', 'Early')
  for (let series = 0; series < 5_000; series++) metrics.gauge(`gauge_${series}`, 'One of many').set(series)
  early.add(7)
  histogram.observe(0.002)
  expect(metrics.text()).toContain('early_total 7\n')
  expect(metrics.text()).toContain('early_seconds_count 1\n')
  expect(metrics.text()).toContain('gauge_4999 4999\n')
})

test('collectors run at every scrape', () => {
  const metrics = new Metrics()
  let scrapes = 0
  const gauge = metrics.gauge('scrapes', 'Scrapes')
  metrics.collect(() => gauge.set(++scrapes))
  metrics.text()
  expect(metrics.text()).toContain('scrapes 2')
})

test('MT2: two processes that count the same are one exposition: each family once, their samples apart', () => {
  const [edge, work] = [new Metrics(), new Metrics()]
  edge.gauge('up', '1 while up', { link: 'pg' }).set(1)
  edge.counter('requests_total', 'Requests').add(5)
  work.counter('sent_total', 'Sent').add(7)
  work.gauge('up', 'Said in other words', { link: 'pg' }).set(0)
  work.histogram('seconds', 'How long').observe(0.3)
  const sent = structuredClone(work.read())
  work.counter('sent_total', 'Sent').add(1)
  const lines = exposeMetrics([
    { labels: 'process="edge"', families: edge.read() },
    { labels: 'process="work"', families: sent },
  ]).split('\n')
  expect(lines.slice(0, 8)).toEqual([
    '# HELP up 1 while up',
    '# TYPE up gauge',
    'up{link="pg",process="edge"} 1',
    'up{link="pg",process="work"} 0',
    '# HELP requests_total Requests',
    '# TYPE requests_total counter',
    'requests_total{process="edge"} 5',
    '# HELP sent_total Sent',
  ])
  expect(lines).toContain('sent_total{process="work"} 7')
  expect(lines).toContain('seconds_bucket{process="work",le="0.5"} 1')
  expect(lines).toContain('seconds_count{process="work"} 1')
  expect(lines.at(-1), 'it ends with a line feed').toBe('')
})

test('MT2: one name of two types is the type that came first, and the other is not told', () => {
  const [one, other] = [new Metrics(), new Metrics()]
  one.counter('mixed', 'Mixed').add(1)
  other.gauge('mixed', 'Mixed').set(2)
  const text = exposeMetrics([one, other].map((each, place) => ({ labels: `n="${place}"`, families: each.read() })))
  expect(text).toBe('# HELP mixed Mixed\n# TYPE mixed counter\nmixed{n="0"} 1\n')
})

test('MT3: a gauge that is not known is not told, and told again when it is', () => {
  const metrics = new Metrics()
  const gauge = metrics.gauge('waiting', 'Waiting', { of: 'a' })
  metrics.gauge('waiting', 'Waiting', { of: 'b' }).set(1)
  metrics.gauge('alone', 'Alone').set(Number.NaN)
  gauge.set(Number.NaN)
  expect(metrics.text()).toBe('# HELP waiting Waiting\n# TYPE waiting gauge\nwaiting{of="b"} 1\n')
  gauge.set(4)
  expect(metrics.text()).toContain('waiting{of="a"} 4\n')
})

test('MT4: no more series are read than were asked for, and how many are left out is told', () => {
  const metrics = new Metrics()
  for (const name of ['first', 'second']) {
    for (let series = 0; series < 10; series++) metrics.counter(name, name, { n: String(series) }).add(series)
  }
  metrics.counter('third', 'third')
  expect(metrics.read(21)).toHaveLength(3)
  const families = metrics.read(12)
  expect(families.map(({ name, labels, values }) => [name, labels.length, values.length])).toEqual([
    ['first', 10, 10],
    ['second', 2, 2],
    ['metrics_series_left_out', 1, 1],
  ])
  expect(exposeMetrics([{ labels: '', families }])).toContain('metrics_series_left_out 9\n')
})
