// What is measured of the process itself, and the two gauges that people look for first.

import { monitorEventLoopDelay } from 'node:perf_hooks'
import type { Mesh } from '@ripstop/kernel'

/** Sets them at every scrape. The returned function ends the measuring of the event loop. */
export function startProcessMetrics(mesh: Mesh): () => void {
  const { metrics } = mesh
  const memory = metrics.gauge('process_resident_memory_bytes', 'Resident memory')
  const heap = metrics.gauge('process_heap_used_bytes', 'Heap in use')
  const cpu = metrics.counter('process_cpu_seconds_total', 'CPU time, user and system')
  const uptime = metrics.gauge('process_uptime_seconds', 'Since the process started')
  const latenessP99 = metrics.gauge(
    'process_event_loop_lateness_p99_seconds',
    'Of the event loop since it was asked last, p99',
  )
  const latenessMost = metrics.gauge(
    'process_event_loop_lateness_max_seconds',
    'Of the event loop since it was asked last, most',
  )
  const loop = monitorEventLoopDelay({ resolution: 20 })
  loop.enable()
  let cpuTold = 0
  metrics.collect(() => {
    const usage = process.memoryUsage()
    const { user, system } = process.cpuUsage()
    memory.set(usage.rss)
    heap.set(usage.heapUsed)
    cpu.add((user + system) / 1e6 - cpuTold)
    cpuTold = (user + system) / 1e6
    uptime.set(process.uptime())
    latenessP99.set(loop.count === 0 ? 0 : loop.percentile(99) / 1e9)
    latenessMost.set(loop.count === 0 ? 0 : loop.max / 1e9)
    loop.reset()
    setUp(mesh, 'postgres_up', 'postgres.main', '1 while the link to Postgres is proved up')
    setUp(mesh, 'redis_up', 'redis.main', '1 while the link to Redis is proved up; absent without Redis')
  })
  return () => loop.disable()
}

/** Only where there is such a link: a 0 would raise an alarm about what nobody has. */
function setUp(mesh: Mesh, metric: string, name: string, help: string): void {
  const state = mesh
    .links()
    .find((link) => link.name === name)
    ?.snapshot().state
  if (state !== undefined) mesh.metrics.gauge(metric, help).set(state === 'up' || state === 'degraded' ? 1 : 0)
}
