import { createEnv, Mesh, Metrics } from '@ripstop/kernel'
import { createFakeClock } from '@ripstop/kernel/testing'
import { expect, test } from 'vitest'
import { startProcessMetrics } from './process-metrics.ts'
import { FRESH_MS, SERIES_TOLD_MAX, TELL_EVERY_MS, ToldMetrics, tellMetrics } from './told-metrics.ts'

test('HM1: what a process told is told on under its name, and forgotten when it says nothing any more', async () => {
  const env = { ...createEnv(), clock: createFakeClock() }
  const [edge, work] = [new Metrics(), new Metrics()]
  const told = new ToldMetrics(env.clock)
  const expose = (): string => told.expose({ process: 'edge', families: edge.read() })
  edge.counter('calls_total', 'Calls').add(1)
  const calls = work.counter('calls_total', 'Calls')
  const stop = tellMetrics(env, work, (families) => told.hear({ process: 'work', families }))
  const head = '# HELP calls_total Calls\n# TYPE calls_total counter\ncalls_total{process="edge"} 1\n'
  expect(expose(), 'it tells at once').toBe(`${head}calls_total{process="work"} 0\n`)
  calls.add(3)
  await env.clock.advance(TELL_EVERY_MS - 1)
  expect(expose()).toBe(`${head}calls_total{process="work"} 0\n`)
  await env.clock.advance(1)
  expect(expose()).toBe(`${head}calls_total{process="work"} 3\n`)
  stop()
  await env.clock.advance(FRESH_MS)
  expect(expose()).toBe(`${head}calls_total{process="work"} 3\n`)
  await env.clock.advance(1)
  expect(expose()).toBe(head)
})

test('what a process tells is bounded, whatever it counts', () => {
  const work = new Metrics()
  for (let family = 0; family < 10; family++) {
    for (let series = 0; series < 1_000; series++) work.counter(`n${family}_total`, 'N', { s: String(series) })
  }
  let series = 0
  const env = { ...createEnv(), clock: createFakeClock() }
  const stop = tellMetrics(env, work, (families) => {
    series = families.reduce((sum, { labels }) => sum + labels.length, 0)
  })
  stop()
  expect(series).toBe(SERIES_TOLD_MAX + 1) // and how many are left out
})

test('a process tells of itself, and CPU time only once', () => {
  const mesh = new Mesh(createEnv())
  const stop = startProcessMetrics(mesh)
  const read = (): number => Number(/^process_cpu_seconds_total (\S+)$/m.exec(mesh.metrics.text())?.[1])
  const first = read()
  expect(first).toBeGreaterThan(0)
  expect(read() - first).toBeLessThan(first)
  expect(mesh.metrics.text()).toMatch(/^process_resident_memory_bytes \d{7,}$/m)
  expect(mesh.metrics.text()).not.toContain('postgres_up')
  stop()
})
