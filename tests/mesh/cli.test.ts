// The commands, each run as a process of its own: what they print, and their exit codes: 0 done, 1 failed, 2 called wrongly.

import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type FaultApi, startFaultApi } from '@ripstop/faults'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { startTestUpstream, type TestUpstream } from '../../packages/server/src/testing/gateway.ts'
import { createTestDatabase, type TestDatabase } from '../../packages/server/src/testing/postgres.ts'
import { findFreePort, makeScratch, type Scratch } from '../../packages/server/src/testing/processes.ts'
import { routesTo } from './fixture.ts'
import { runCli, startMesh, type TestMesh, tellOnFailure, until } from './harness.ts'

let scratch: Scratch
let upstream: TestUpstream
let database: TestDatabase
let faults: FaultApi
let mesh: TestMesh

beforeAll(async () => {
  scratch = await makeScratch()
  upstream = await startTestUpstream((_request, response) => response.end('echo'))
  database = await createTestDatabase()
  faults = await startFaultApi({ port: await findFreePort() })
  const proxy = await faults.createProxy({ name: 'echo', upstream: { host: '127.0.0.1', port: upstream.port } })
  mesh = await startMesh({ config: routesTo(proxy.port), env: { DATABASE_URL: database.url } })
  await mesh.ready()
})
afterAll(async () => {
  for (const each of [mesh, faults, database, upstream, scratch]) await each[Symbol.asyncDispose]()
})
beforeEach((context) => tellOnFailure(context, mesh))

test('without a command, and for an unknown one, every command is listed; only the second is a failure', async () => {
  const help = await runCli(['--help'])
  expect(help.code).toBe(0)
  for (const command of ['up', 'config', 'graph', 'keys', 'fault', 'events', 'webhooks', 'inbound'])
    expect(help.out).toContain(`ripstop ${command} `)
  const unknown = await runCli(['frobnicate'])
  expect([unknown.code, unknown.out]).toEqual([2, ''])
  expect(unknown.error).toContain('no such command: frobnicate')
  expect(unknown.error).toContain('ripstop up')
})

test.each([
  ['up', ['up', '--frobnicate']],
  ['graph', ['graph', '--frobnicate']],
  ['config', ['config', 'check', '--frobnicate']],
  ['keys', ['keys', 'list', '--frobnicate']],
  ['fault', ['fault', '--frobnicate']],
  ['events', ['events', 'types', 'list', '--frobnicate']],
  ['webhooks', ['webhooks', 'endpoints', 'list', '--frobnicate']],
  ['inbound', ['inbound', 'list', '--frobnicate']],
])('an unknown option of `%s` is named, with exit code 2 and no stack', async (_name, args) => {
  const { code, out, error } = await runCli(args)
  expect([code, out]).toEqual([2, ''])
  expect(error).toContain("'--frobnicate'")
  expect(error).not.toMatch(/\n\s+at /)
})

test('M8: a configuration with every setting wrong is told whole, each with its place, without a value, and nothing starts', async () => {
  const file = join(scratch.path, 'wrong.yaml')
  await writeFile(file, EVERY_FIELD_WRONG)
  const checked = await runCli(['config', 'check', '--config', file])
  const started = await runCli(['up', '--config', file], { cwd: scratch.path })
  for (const { code, out, error } of [checked, started]) {
    expect([code, out]).toEqual([1, ''])
    const told = new Map(
      [...error.matchAll(/^ {2}wrong\.yaml:\d+:\d+ (\S+): .+; .+$/gm)].map(([line, path]) => [path, line]),
    )
    const schema = JSON.parse((await runCli(['config', 'schema'])).out) as Schema
    const wanted = settingsOf(schema, schema, '')
    expect(wanted.length).toBeGreaterThan(50)
    expect(
      wanted.filter((path) => !told.has(path) && !told.has(`${path}[0]`)),
      'settings that nobody complained of',
    ).toEqual([])
    expect(error).not.toMatch(/hidden/i)
  }
  expect(started.error, 'both say the same').toBe(checked.error)
})

test('`config check` tells what a good configuration amounts to, with exit code 0 and without secrets', async () => {
  const { code, out } = await runCli(['config', 'check', '--config', mesh.configFile], {
    env: { DATABASE_URL: database.url },
  })
  expect(code).toBe(0)
  expect(out).toMatch(/upstreams\.echo\.deadline_ms +2000 +\(.*ripstop\.yaml/)
  expect(out).toMatch(/postgres\.pool_size +10 +\(default\)/)
  expect(out).toMatch(/postgres\.url .*\(DATABASE_URL\)/)
  expect(out).not.toContain(new URL(database.url).password)
})

test('`graph` shows the links of all processes as a table, as JSON and for Graphviz', async () => {
  const env = { RIPSTOP_URL: mesh.base }
  const table = await runCli(['graph'], { env })
  expect(table.code).toBe(0)
  for (const link of ['postgres.main', 'upstream.echo', 'process.edge', 'process.work']) {
    expect(table.out).toMatch(new RegExp(`^${link.replace('.', '\\.')} +up`, 'm'))
  }
  const { code, out } = await runCli(['graph', '--json', '--url', mesh.base])
  expect(code).toBe(0)
  const names = (JSON.parse(out) as { readonly links: readonly { readonly name: string }[] }).links.map(
    ({ name }) => name,
  )
  expect(names).toEqual(expect.arrayContaining(['postgres.main', 'upstream.echo', 'process.edge', 'process.work']))
  const dot = await runCli(['graph', '--dot'], { env })
  expect(dot.code).toBe(0)
  expect(dot.out).toMatch(/^digraph mesh \{\n[\s\S]*"gateway" -> "echo" \[label="upstream\.echo\\nup"[\s\S]*\}\n$/)
})

test('`graph` of a mesh that is not there says so, with exit code 1', async () => {
  const url = `http://127.0.0.1:${await findFreePort()}`
  const { code, out, error } = await runCli(['graph', '--url', url])
  expect([code, out]).toEqual([1, ''])
  expect(error).toContain(`nothing answers at ${url}: is it running?`)
})

test('`fault` breaks what a proxy stands in front of, shows it, and heals it', async () => {
  const env = { RIPSTOP_FAULT_API: faults.url }
  const fault = (...args: string[]): ReturnType<typeof runCli> => runCli(['fault', ...args], { env })
  expect((await mesh.ask('/open')).status).toBe(200)
  expect(await fault('echo', 'http_error', 'status=418')).toMatchObject({ code: 0, out: 'echo has http_error\n' })
  expect((await mesh.ask('/open')).status).toBe(418)
  expect((await fault()).out).toMatch(/^echo +passes +\S+ -> \S+ +http_error \{.*"status":418/m)
  expect(await fault('echo', 'heal')).toMatchObject({ code: 0, out: 'echo is healed\n' })
  expect((await mesh.ask('/open')).status).toBe(200)

  expect(await fault('echo', 'down')).toMatchObject({ code: 0, out: 'echo refuses connections\n' })
  await until('the gateway says that it is down', async () => (await mesh.ask('/open')).code === 'LINK_DOWN')
  expect((await fault()).out).toMatch(/^echo +down /m)
  expect(await fault('heal')).toMatchObject({ code: 0, out: 'everything is healed\n' })
  await until('it is up again', async () => (await mesh.ask('/open')).status === 200)

  expect(await fault('nobody', 'black_hole')).toMatchObject({
    code: 1,
    error: expect.stringContaining('proxy not found'),
  })
  expect(await fault('echo', 'frobnicate')).toMatchObject({
    code: 1,
    error: expect.stringContaining('invalid toxic type'),
  })
  expect(await fault('echo')).toMatchObject({ code: 2, error: expect.stringContaining('what shall happen to echo?') })
  const nobody = await runCli(['fault', '--api', `http://127.0.0.1:${await findFreePort()}`])
  expect(nobody).toMatchObject({ code: 1, error: expect.stringContaining('nothing answers at') })
})

interface Schema {
  readonly $ref?: string
  readonly $defs?: Readonly<Record<string, Schema>>
  readonly properties?: Readonly<Record<string, Schema>>
  readonly additionalProperties?: Schema | boolean
  readonly items?: Schema
  readonly anyOf?: readonly Schema[]
}

/** The paths of all settings, as problems write them; an upstream is `one`, a route the first. */
function settingsOf(schema: Schema, root: Schema, path: string): readonly string[] {
  const found = schema.$ref === undefined ? schema : (root.$defs?.[schema.$ref.replace('#/$defs/', '')] ?? schema)
  const { properties, additionalProperties, items, anyOf } = found
  if (properties !== undefined) {
    return Object.entries(properties).flatMap(([name, value]) =>
      settingsOf(value, root, path === '' ? name : `${path}.${name}`),
    )
  }
  if (typeof additionalProperties === 'object') return settingsOf(additionalProperties, root, `${path}.one`)
  const inList = items === undefined ? [] : settingsOf(items, root, `${path}[0]`)
  if (inList.length > 1) return inList
  const choice = anyOf?.map((each) => settingsOf(each, root, path)).find((paths) => paths.length > 1)
  return choice ?? [path]
}

const EVERY_FIELD_WRONG = `
server: { host: "hidden value 1", port: 700000, allowed_origins: ["hidden value 2"], trust_proxy: "hidden value 3", shutdown_ms: 0, body_bytes_max: -1, header_bytes_max: 10, environment: hidden-4, roles: [hidden-5], state_dir: "" }
access: { mode: hidden-6 }
postgres: { url: "mysql://hidden:hidden-7@hidden/d", pool_size: 0, wait_ms: 0, deadline_ms: hidden-8, statement_timeout_ms: -5, session_settings: hidden-9 }
redis: { url: "http://hidden-10", deadline_ms: 0 }
log: { level: hidden-11, format: hidden-12 }
secrets: { master_key: "hidden-22" }
egress: { allow: ["hidden-23"] }
events: { retention_days: 0, event_bytes_max: 1, types: hidden-24 }
delivery: { under_way_max: 0, attempts_retention_days: 0, dead_letters_retention_days: 0, parked_days_max: 0 }
webhooks: { secret_max_age_days: 0, secret_overlap_hours: 0, rotate_secrets: hidden-25, pause_after_failing_hours: 0, gone_after_missing: 0, orphan_after_days: 0 }
deferred: { retention_days: 0, response_bytes_max: 1 }
sessions: { store: hidden-26, ended_ttl_s: 0, retention_days: 0, backlog_max: 0 }
session_limits: { enabled: hidden-27, window_ms: 0, reads: 0, key_reads: 0, creations: 0, key_creations: 0, connections: 0, key_connections: 0, messages: 0, commands_per_second: 0, key_commands_per_second: 0, command_cooldown_ms: 0 }
upstreams:
  one:
    url: "ftp://hidden-13"
    probe: { path: "hidden 14", every_ms: 1, deadline_ms: 0 }
    deadline_ms: 0
    retry: { attempts: 0, base_ms: -1, cap_ms: -1 }
    budget: { share: 2, per_second: 0 }
    breaker: { failure_rate: 0, minimum_calls: 0, window_ms: 1, open_ms: 0, open_ms_max: 0 }
    bulkhead: { concurrent: 0, queue: -1 }
    rate: { per_second: 0, burst: 0 }
    connections: 0
    critical: hidden-15
    recover_within_ms: 0
routes:
  - { path: "hidden 16", upstream: hidden-17, methods: [HIDDEN], strip_prefix: hidden-18, upstream_idempotent: 3, deadline_ms: 0, access: hidden-19, scopes: ["Hidden 20"], rate_limit: { per_minute: 0, by: hidden-21 }, websocket: 1, body_bytes_max: 0 }
`
