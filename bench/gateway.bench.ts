// The gateway with all its guards on, beside haproxy (what a proxy can cost) and fastify with @fastify/http-proxy (what Node
// users have), in the same run, in turns: GET 1 KB over 32 keep-alive connections, then one connection for latency.

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { cpuMs, freePort, type Load, load, scratch, start, startMesh, startUpstream } from './processes.ts'
import { median, report } from './statistics.ts'

const ROUNDS = 5
const SECONDS = 3

using folder = scratch()
await using upstream = await startUpstream(folder.path)
const target = `http://127.0.0.1:${upstream.port}`

await using mesh = await startMesh(
  folder.path,
  `upstreams:
  bench: { url: ${target}, deadline_ms: 5000, retry: { attempts: 3 }, rate: { per_second: 1000000, burst: 1000000 } }
routes:
  - { path: /bench, upstream: bench, rate_limit: { per_minute: 100000000, by: both } }
`,
  '/bench',
)

const haproxyPort = await freePort()
writeFileSync(
  join(folder.path, 'proxy.cfg'),
  `global
  nbthread 1
defaults
  mode http
  timeout client 60s
  timeout server 60s
  timeout connect 1s
frontend in
  bind 127.0.0.1:${haproxyPort}
  default_backend out
backend out
  http-reuse always
  server upstream 127.0.0.1:${upstream.port}
`,
)
await using haproxy = await start('haproxy', ['-f', join(folder.path, 'proxy.cfg')], `http://127.0.0.1:${haproxyPort}/`)
const fastifyPort = await freePort()
await using fastify = await start(
  process.execPath,
  [join(import.meta.dirname, 'peers', 'fastify-proxy.ts'), String(fastifyPort), target],
  `http://127.0.0.1:${fastifyPort}/`,
)

interface Contestant {
  readonly url: string
  readonly pid: number
  readonly loads: (Load & { readonly cpuUs: number })[]
  readonly p50Ms: number[]
}
const contestant = (url: string, pid: number): Contestant => ({ url, pid, loads: [], p50Ms: [] })
const direct = contestant(`${target}/`, upstream.pid)
const ours = contestant(`http://127.0.0.1:${mesh.port}/bench`, mesh.edge)
const limit = contestant(`http://127.0.0.1:${haproxyPort}/`, haproxy.pid)
const peer = contestant(`http://127.0.0.1:${fastifyPort}/`, fastify.pid)

for (const { url } of [ours, limit, peer]) load(url, 32, 2) // warming up
for (let round = 0; round < ROUNDS; round++) {
  for (const each of [ours, limit, peer]) {
    const beforeMs = cpuMs(each.pid)
    const result = load(each.url, 32, SECONDS)
    each.loads.push({ ...result, cpuUs: ((cpuMs(each.pid) - beforeMs) * 1000) / result.requests })
  }
  for (const each of [direct, ours, limit, peer]) each.p50Ms.push(load(each.url, 1, 1).p50Ms)
}

const rate = (each: Contestant): number => median(each.loads.map(({ requestsPerSecond }) => requestsPerSecond))
const cpu = (each: Contestant): number => median(each.loads.map(({ cpuUs }) => cpuUs))
const p99 = (each: Contestant): number => median(each.loads.map(({ p99Ms }) => p99Ms))
const added = (each: Contestant): number => median(each.p50Ms.map((value, round) => value - (direct.p50Ms[round] ?? 0)))
const describe = (each: Contestant): string =>
  `${rate(each).toFixed(0)}/s, ${cpu(each).toFixed(0)} us CPU, p99 ${p99(each).toFixed(1)} ms, +${added(each).toFixed(3)} ms at p50`

report(
  'gateway',
  [
    {
      what: 'CPU a request, 1 KB, 32 connections, all guards on',
      figure: `${cpu(ours).toFixed(0)} us`,
      asked: '<= 80 us',
      met: cpu(ours) <= 80,
    },
    {
      what: 'added p50, one connection',
      figure: `${added(ours).toFixed(3)} ms`,
      asked: '<= 0.15 ms',
      met: added(ours) <= 0.15,
    },
    {
      what: 'rate beside haproxy (the limit)',
      figure: `${(rate(ours) / rate(limit)).toFixed(2)} of its`,
      asked: '>= 0.33',
      met: rate(ours) >= rate(limit) / 3,
    },
    {
      what: 'rate beside fastify + @fastify/http-proxy',
      figure: `${(rate(ours) / rate(peer)).toFixed(2)}x`,
      asked: '>= 1.5x',
      met: rate(ours) >= rate(peer) * 1.5,
    },
  ],
  [
    `ours: ${describe(ours)}`,
    `haproxy, one thread: ${describe(limit)}`,
    `fastify + @fastify/http-proxy: ${describe(peer)}`,
    `medians of ${ROUNDS} interleaved rounds of ${SECONDS} s; load generator, upstream and proxy share the machine`,
  ],
)
