// `node examples/webhooks/main.ts [SECONDS]`: a mesh, a shop that publishes in its own transactions and a receiver that applies once. While
// orders come in, each of them is killed with SIGKILL, again and again. At the end every order must have been shipped, once.

import { type ChildProcess, fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Client } from 'pg'
import { endChild, freePort, say, sleep, until } from '../running.ts'

const here = import.meta.dirname
const root = join(here, '..', '..')
const stateDir = join(root, '.ripstop', 'webhooks')
const seconds = Number(process.argv[2] ?? 20)
const KILL_EVERY_MS = 1_500
const EXAMPLE = 'examples/webhooks'
const TABLES = `
  create schema if not exists shop; create schema if not exists shipping;
  drop table if exists shop.orders, shipping.parcels, shipping.webhook_inbox;
  create table shop.orders (id integer generated always as identity primary key, item text not null);
  create table shipping.parcels (order_id integer not null)`

const [meshPort, receiverPort] = [await freePort(), await freePort()]
const mesh = `http://127.0.0.1:${meshPort}`
const running = new Map<string, ChildProcess>()
let isOver = false
process.once('SIGINT', () => void stop().then(() => process.exit(130)))

try {
  await startMesh()
  const db = new Client({ connectionString: databaseUrl() })
  await db.connect()
  await db.query(TABLES)
  const secret = await createEndpoint()
  await startPart('receiver', secret)
  await startPart('shop', secret)
  say(`orders come in for ${seconds} s`)
  const endMs = Date.now() + seconds * 1_000
  for (let turn = 0; Date.now() < endMs; turn++) {
    await sleep(KILL_EVERY_MS)
    const victim = ['receiver', 'shop', 'mesh'][turn % 3] ?? ''
    await kill(victim)
    say(
      `killed the ${victim} with SIGKILL; ${await count(db, 'shop.orders')} orders, ${await count(db, 'shipping.parcels')} parcels`,
    )
    if (victim === 'mesh') await startMesh()
    else await startPart(victim, secret)
  }
  await kill('shop')
  process.exitCode = (await compare(db)) ? 0 : 1
  await db.end()
} finally {
  await stop()
}

/** Waits until as much was shipped as was ordered, and says what was shipped twice or never. */
async function compare(db: Client): Promise<boolean> {
  const ordered = await count(db, 'shop.orders')
  const startMs = Date.now()
  while ((await count(db, 'shipping.parcels')) < ordered && Date.now() - startMs < 60_000) await sleep(100)
  const twice = await count(db, '(select 1 from shipping.parcels group by order_id having count(*) > 1) d')
  const never = await count(db, '(select id from shop.orders except select order_id from shipping.parcels) d')
  const unknown = await count(db, '(select order_id from shipping.parcels except select id from shop.orders) d')
  say(`
  ordered          ${ordered}
  shipped          ${await count(db, 'shipping.parcels')}, the last one ${((Date.now() - startMs) / 1_000).toFixed(1)} s after the shop had closed
  shipped twice    ${twice}
  never shipped    ${never}
  never ordered    ${unknown}
  webhooks taken   ${await count(db, 'shipping.webhook_inbox')}
`)
  return ordered > 0 && twice + never + unknown === 0
}

async function startMesh(): Promise<void> {
  const bin = join(root, 'packages', 'server', 'bin', 'ripstop.js')
  const environment = {
    LOG_LEVEL: 'error',
    LOG_FORMAT: 'text',
    ...process.env,
    RIPSTOP_STATE_DIR: stateDir,
    PORT: String(meshPort),
  }
  const child = spawn(process.execPath, [bin, 'up', '--config', join(here, 'ripstop.yaml')], {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: environment,
  })
  running.set('mesh', child)
  await until('the mesh is up', async () => (await fetch(`${mesh}/readyz`).catch(() => undefined))?.ok === true)
}

async function startPart(name: string, secret: string): Promise<void> {
  const env = { ...process.env, DATABASE_URL: databaseUrl(), WEBHOOK_SECRET: secret, PORT: String(receiverPort) }
  const child = fork(join(here, `${name}.ts`), { env, stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  running.set(name, child)
  if (name === 'receiver') await once(child, 'message')
}

async function kill(name: string, signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
  const child = running.get(name)
  running.delete(name)
  await endChild(child, signal)
}

async function stop(): Promise<void> {
  if (isOver) return
  isOver = true
  for (const name of ['shop', 'receiver']) await kill(name)
  await kill('mesh', 'SIGTERM')
}

/** Gives its secret. Those that earlier runs left behind go. */
async function createEndpoint(): Promise<string> {
  const left = await ask<{ endpoint_id: string; description: string }[]>('GET', '/v1/endpoints')
  for (const { endpoint_id: id, description } of left)
    if (description === EXAMPLE) await ask('DELETE', `/v1/endpoints/${id}`)
  const { secret } = await ask<{ secret: string }>('POST', '/v1/endpoints', {
    url: `http://127.0.0.1:${receiverPort}/`,
    description: EXAMPLE,
    event_types: ['order.*'],
    retry_schedule_ms: Array(20).fill(5_000),
  })
  return secret
}

async function ask<T>(method: string, path: string, body?: unknown): Promise<T> {
  const json = body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }
  const response = await fetch(`${mesh}${path}`, { method, ...json })
  if (!response.ok) throw new Error(`${method} ${path}: ${await response.text()}`)
  return ((await response.json()) as { data: T }).data
}

/** The mesh's own Postgres, unless there is another. */
function databaseUrl(): string {
  const { DATABASE_URL } = process.env
  if (DATABASE_URL !== undefined) return DATABASE_URL
  return (JSON.parse(readFileSync(join(stateDir, 'postgres.json'), 'utf8')) as { url: string }).url
}

async function count(db: Client, from: string): Promise<number> {
  return Number((await db.query(`select count(*) as n from ${from}`)).rows[0].n)
}
