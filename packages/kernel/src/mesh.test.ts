import { expect, test } from 'vitest'
import { background } from './ctx.ts'
import { createEnv } from './env.ts'
import { Mesh } from './mesh.ts'
import { createFakeClock, settle } from './testing/index.ts'
import { createTestLink, HANG, ScriptedPeer, watch } from './testing/scripted-peer.ts'

function createMesh() {
  const clock = createFakeClock()
  const env = createEnv({ clock, random: () => 0.5 })
  const mesh = new Mesh(env)
  const link = (name: string, options: { to?: Parameters<Mesh['link']>[3]; critical?: boolean } = {}) =>
    mesh.link(name, new ScriptedPeer(env), { deadlineMs: 100, critical: options.critical ?? false }, options.to)
  return { clock, env, mesh, link, root: background(env) }
}

test('the blast radius follows hard uses backwards through the links that lead to what falls', () => {
  const { mesh, link } = createMesh()
  link('postgres.main', { to: { name: 'postgres', kind: 'database' } })
  link('redis.main', { to: { name: 'redis', kind: 'cache' } })
  link('orders.http', { to: { name: 'orders', kind: 'service' } })
  link('gateway.self', { to: { name: 'gateway', kind: 'role' } })
  mesh.use({ component: 'orders', link: 'postgres.main', need: 'hard' })
  mesh.use({ component: 'gateway', link: 'orders.http', need: 'hard' })
  mesh.use({ component: 'gateway', link: 'redis.main', need: 'soft' })
  mesh.use({ component: 'reports', link: 'postgres.main', need: 'soft' })
  mesh.use({ component: 'orders', link: 'gateway.self', need: 'hard' }) // a cycle must not hang it
  mesh.use({ component: 'browser', link: 'gateway.self', need: 'soft' })
  const radius = new Map(mesh.graph().links.map((one) => [one.name, one.blastRadius]))
  expect(radius.get('postgres.main')).toEqual({ hard: ['gateway', 'orders'], soft: ['browser', 'reports'] })
  expect(radius.get('redis.main')).toEqual({ hard: [], soft: ['gateway'] })
  expect(radius.get('orders.http')).toEqual({ hard: ['gateway', 'orders'], soft: ['browser'] })
})

test('a component that needs a link hard and soft is counted as hard', () => {
  const { mesh, link } = createMesh()
  link('redis.main')
  mesh.use({ component: 'gateway', link: 'redis.main', need: 'soft' })
  mesh.use({ component: 'gateway', link: 'redis.main', need: 'hard' })
  expect(mesh.graph().links[0]?.blastRadius).toEqual({ hard: ['gateway'], soft: [] })
})

test('the graph is plain data: components, links, guarantees, live state, drills', async () => {
  const { mesh, link, clock } = createMesh()
  const made = link('postgres.main', { to: { name: 'postgres', kind: 'database' }, critical: true })
  made.start()
  await settle()
  mesh.drilled({ link: 'postgres.main', fault: 'half_open', recoveredMs: 900, wallMs: clock.wallMs() })
  const graph = mesh.graph()
  expect(JSON.parse(JSON.stringify(graph))).toMatchObject({
    components: [{ name: 'postgres', kind: 'database' }],
    links: [
      {
        name: 'postgres.main',
        to: 'postgres',
        kind: 'scripted',
        target: 'nowhere',
        guarantees: { deadlineMs: 100, critical: true },
        live: { state: 'up', generation: 1, inFlight: 0, breaker: 'closed' },
        lastDrill: { fault: 'half_open', recoveredMs: 900 },
      },
    ],
  })
  expect(structuredClone(graph)).toEqual(graph)
})

test('a declared component keeps its kind when a link to it is made without naming it', () => {
  const { mesh, link } = createMesh()
  mesh.component({ name: 'postgres', kind: 'database' })
  link('postgres.main')
  link('other.main')
  expect(mesh.graph().components).toEqual([
    { name: 'postgres', kind: 'database' },
    { name: 'other', kind: 'service' },
  ])
})

test('a name is taken once', () => {
  const { link } = createMesh()
  link('postgres.main')
  expect(() => link('postgres.main')).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }))
})

test('M6: not ready names the critical links that are not up, with why; degraded is ready', async () => {
  const { mesh, link, clock } = createMesh()
  const critical = link('postgres.main', { critical: true })
  link('redis.main')
  expect(mesh.notReady().map(({ name, state }) => [name, state])).toEqual([['postgres.main', 'idle']])
  critical.start()
  await settle()
  expect(mesh.notReady()).toEqual([])
  const outcome = watch(
    critical.call(background(mesh.env), () => new Promise(() => {})),
    clock,
  )
  await clock.advance(120)
  expect([outcome()?.code, critical.state]).toEqual(['DEADLINE_EXCEEDED', 'degraded'])
  expect(mesh.notReady()).toEqual([])
})

test('listeners hear transitions, breakers and degradations until they stop listening', async () => {
  const bench = createTestLink({ breaker: { minimumCalls: 1 }, fallback: 'nothing' })
  const heard: string[] = []
  const stop = bench.mesh.listen((notice) => heard.push(notice.type))
  await bench.up()
  const call = bench.link.callOr(
    bench.root,
    (connection, ctx) => bench.peer.ask(HANG, ctx, connection),
    () => undefined,
  )
  watch(call, bench.clock)
  await bench.clock.advance(1_100)
  expect(heard).toEqual(expect.arrayContaining(['transition', 'breaker', 'degradation']))
  const before = heard.length
  stop()
  await bench.link.drain(bench.root)
  expect(heard.length).toBe(before)
})

test('L5: what a link counts fits what happened', async () => {
  const bench = createTestLink({ heartbeatMs: 60_000 })
  await bench.up()
  await bench.link.call(bench.root, () => 1)
  watch(
    bench.link.call(bench.root, (connection, ctx) => bench.peer.ask(HANG, ctx, connection)),
    bench.clock,
  )
  expect(bench.mesh.metrics.text()).toContain('link_in_flight{link="scripted.main"} 1')
  await bench.clock.advance(1_020)
  const text = bench.mesh.metrics.text()
  for (const line of [
    'link_up{link="scripted.main"} 1',
    'link_in_flight{link="scripted.main"} 0',
    'link_state{link="scripted.main",state="up"} 1',
    'link_state{link="scripted.main",state="down"} 0',
    'breaker_state{link="scripted.main",state="closed"} 1',
    'link_calls_total{link="scripted.main",outcome="ok"} 1',
    'link_calls_total{link="scripted.main",outcome="deadline"} 1',
    'link_recovery_attempts_total{link="scripted.main"} 1',
    'link_recoveries_total{link="scripted.main"} 1',
    'link_call_duration_seconds_count{link="scripted.main"} 2',
  ]) {
    expect(text.split('\n')).toContain(line)
  }
  expect(createTestLink().mesh.metrics.text()).toContain('link_last_proof_age_seconds{link="scripted.main"} +Inf')
})
