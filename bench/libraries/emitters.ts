// Which emitters end the process when they have something to say and nobody listens for `error`. Each is a program of its own, the text that the auditor is asked
// about too: what ends here has to be found there, and what stays must not.

import { type ChildProcess, spawn } from 'node:child_process'
import { setTimeout } from 'node:timers/promises'
import { amqp, type FarEnd, mysql, nobody, postgres, redis, silent } from './far-ends.ts'

export interface Program {
  readonly package: string
  /** What goes wrong. */
  readonly when: string
  readonly text: string
  readonly far: () => Promise<FarEnd | number>
}

const WAIT_MS = 5_000
const AT_ONCE = 3
const HANG_UP_MS = 100
const GONE = 'the connection breaks'
const REFUSED = 'nobody is there'
const hangsUp = () => silent((_, socket) => void socket.resetAndDestroy())

/** `PORT` is where its far end is; a promise that is refused is caught, so that only an emitter can end it. */
export const PROGRAMS: readonly Program[] = [
  {
    package: 'pg',
    when: `${GONE}, idle in the pool`,
    far: () => postgres(HANG_UP_MS),
    text: "import { Pool } from 'pg'\nexport const pool = new Pool({ host: '127.0.0.1', port: PORT, user: 'a', database: 'a' })\npool.query('SELECT 1').catch(() => {})\n",
  },
  {
    package: 'pg',
    when: GONE,
    far: () => postgres(HANG_UP_MS),
    text: "import { Client } from 'pg'\nexport const client = new Client({ host: '127.0.0.1', port: PORT, user: 'a', database: 'a' })\nclient.connect().catch(() => {})\n",
  },
  {
    package: 'redis',
    when: GONE,
    far: () => redis(HANG_UP_MS),
    text: "import { createClient } from 'redis'\nexport const client = createClient({ url: 'redis://127.0.0.1:PORT' })\nclient.connect().catch(() => {})\n",
  },
  {
    package: 'ioredis',
    when: REFUSED,
    far: nobody,
    text: "import { Redis } from 'ioredis'\nexport const redis = new Redis({ port: PORT })\n",
  },
  {
    package: 'bullmq',
    when: REFUSED,
    far: nobody,
    text: "import { Queue } from 'bullmq'\nexport const queue = new Queue('a', { connection: { port: PORT } })\n",
  },
  {
    package: 'bullmq',
    when: REFUSED,
    far: nobody,
    text: "import { Worker } from 'bullmq'\nexport const worker = new Worker('a', async () => {}, { connection: { port: PORT, maxRetriesPerRequest: null } })\n",
  },
  {
    package: 'ws',
    when: REFUSED,
    far: nobody,
    text: "import WebSocket from 'ws'\nexport const socket = new WebSocket('ws://127.0.0.1:PORT')\n",
  },
  {
    package: 'socket.io-client',
    when: REFUSED,
    far: nobody,
    text: "import { io } from 'socket.io-client'\nexport const socket = io('http://127.0.0.1:PORT')\n",
  },
  {
    package: 'mqtt',
    when: REFUSED,
    far: nobody,
    text: "import mqtt from 'mqtt'\nexport const client = mqtt.connect('mqtt://127.0.0.1:PORT')\n",
  },
  {
    package: 'mqtt',
    when: GONE,
    far: hangsUp,
    text: "import mqtt from 'mqtt'\nexport const client = mqtt.connect('mqtt://127.0.0.1:PORT')\n",
  },
  {
    package: 'amqplib',
    when: GONE,
    far: () => amqp(HANG_UP_MS),
    text: "import amqp from 'amqplib'\nexport const start = async () => {\n  const connection = await amqp.connect('amqp://a:a@127.0.0.1:PORT')\n  await connection.createChannel()\n}\nstart().catch(() => {})\n",
  },
  {
    package: 'amqp-connection-manager',
    when: REFUSED,
    far: nobody,
    text: "import amqp from 'amqp-connection-manager'\nexport const connection = amqp.connect(['amqp://127.0.0.1:PORT'])\nexport const channel = connection.createChannel({ json: true })\n",
  },
  {
    package: 'http-proxy',
    when: REFUSED,
    far: nobody,
    text: "import { createServer, get } from 'node:http'\nimport proxying from 'http-proxy'\nconst proxy = proxying.createProxyServer({ target: 'http://127.0.0.1:PORT' })\nconst server = createServer((request, response) => proxy.web(request, response))\nserver.listen(0, () => get({ port: server.address().port }, () => {}).on('error', () => {}))\n",
  },
  {
    package: 'node',
    when: REFUSED,
    far: nobody,
    text: "import { get } from 'node:http'\nget('http://127.0.0.1:PORT/', (response) => response.resume())\n",
  },
  {
    package: 'node',
    when: REFUSED,
    far: nobody,
    text: "import { connect } from 'node:net'\nexport const socket = connect(PORT)\n",
  },
  {
    package: 'mysql2',
    when: GONE,
    far: () => mysql(HANG_UP_MS),
    text: "import mysql from 'mysql2'\nexport const connection = mysql.createConnection({ host: '127.0.0.1', port: PORT, user: 'a' })\n",
  },
  {
    package: 'mysql2',
    when: GONE,
    far: () => mysql(HANG_UP_MS),
    text: "import mysql from 'mysql2/promise'\nexport const start = async () => {\n  const connection = await mysql.createConnection({ host: '127.0.0.1', port: PORT, user: 'a' })\n  await connection.ping()\n}\nstart().catch(() => {})\n",
  },
  {
    package: 'mysql2',
    when: `${GONE}, idle in the pool`,
    far: () => mysql(HANG_UP_MS),
    text: "import mysql from 'mysql2'\nexport const pool = mysql.createPool({ host: '127.0.0.1', port: PORT, user: 'a' })\npool.getConnection((error, connection) => connection?.release())\n",
  },
  {
    package: 'mysql',
    when: GONE,
    far: () => mysql(HANG_UP_MS),
    text: "import mysql from 'mysql'\nexport const connection = mysql.createConnection({ host: '127.0.0.1', port: PORT, user: 'a' })\nconnection.connect(() => {})\n",
  },
  {
    package: 'mysql',
    when: `${GONE}, idle in the pool`,
    far: () => mysql(HANG_UP_MS),
    text: "import mysql from 'mysql'\nexport const pool = mysql.createPool({ host: '127.0.0.1', port: PORT, user: 'a' })\npool.getConnection((error, connection) => connection?.release())\n",
  },
  {
    package: 'mongoose',
    when: REFUSED,
    far: nobody,
    text: "import mongoose from 'mongoose'\nmongoose.connect('mongodb://127.0.0.1:PORT/a', { serverSelectionTimeoutMS: 500 }).catch(() => {})\n",
  },
  {
    package: 'mssql',
    when: REFUSED,
    far: nobody,
    text: "import sql from 'mssql'\nexport const pool = new sql.ConnectionPool({ server: '127.0.0.1', port: PORT, user: 'a', password: 'a' })\npool.connect().catch(() => {})\n",
  },
  {
    package: 'knex',
    when: `${GONE}, idle in the pool`,
    far: () => postgres(HANG_UP_MS),
    text: "import knex from 'knex'\nexport const db = knex({ client: 'pg', version: '16', connection: { host: '127.0.0.1', port: PORT, user: 'a' } })\ndb.raw('SELECT 1').catch(() => {})\n",
  },
  {
    package: 'postgres',
    when: GONE,
    far: () => postgres(HANG_UP_MS),
    text: "import postgres from 'postgres'\nexport const sql = postgres({ host: '127.0.0.1', port: PORT, user: 'a', fetch_types: false })\nsql`SELECT 1`.catch(() => {})\n",
  },
  {
    package: 'kafkajs',
    when: REFUSED,
    far: nobody,
    text: "import { Kafka } from 'kafkajs'\nexport const producer = new Kafka({ brokers: ['127.0.0.1:PORT'], retry: { retries: 1 } }).producer()\nproducer.connect().catch(() => {})\n",
  },
  {
    package: 'nats',
    when: GONE,
    far: hangsUp,
    text: "import { connect } from 'nats'\nconnect({ servers: '127.0.0.1:PORT', reconnect: false }).catch(() => {})\n",
  },
  {
    package: 'nodemailer',
    when: REFUSED,
    far: nobody,
    text: "import { createTransport } from 'nodemailer'\nexport const mail = createTransport({ host: '127.0.0.1', port: PORT, pool: true })\nmail.sendMail({ to: 'a@b.c' }).catch(() => {})\n",
  },
]

export interface EmitterRow {
  readonly language: 'javascript'
  readonly library: string
  readonly package: string
  readonly what: 'unheard'
  /** ends: the process ended by an error that no code could catch. */
  readonly outcome: 'ends' | 'stays' | 'missing'
  readonly text: string
  readonly when: string
  readonly error: string
}

export async function measureEmitters(asked: readonly string[]): Promise<readonly EmitterRow[]> {
  const left = PROGRAMS.filter((program) => asked.length === 0 || asked.includes(program.package))
  const rows: EmitterRow[] = []
  const work = async (): Promise<void> => {
    for (let next = left.shift(); next !== undefined; next = left.shift()) rows.push(await measure(next))
  }
  await Promise.all(Array.from({ length: AT_ONCE }, work))
  return rows
}

async function measure({ package: name, when, text, far }: Program): Promise<EmitterRow> {
  const end = await far()
  const source = text.replaceAll('PORT', String(typeof end === 'number' ? end : end.port))
  const child = spawn(process.execPath, ['--input-type=module', '-e', source], {
    cwd: import.meta.dirname,
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let said = ''
  child.stderr?.on('data', (part) => (said += part))
  const code = await Promise.race([ended(child), setTimeout(WAIT_MS, 0)])
  child.kill('SIGKILL')
  const outcome = /ERR_MODULE_NOT_FOUND/.test(said) ? 'missing' : code === 0 ? 'stays' : 'ends'
  const error = outcome === 'ends' ? (/^(?:\w*Error|.*Unhandled).*$/m.exec(said)?.[0] ?? said).slice(0, 90) : ''
  return { language: 'javascript', library: name, package: name, what: 'unheard', outcome, text, when, error }
}

function ended(child: ChildProcess): Promise<number> {
  return new Promise((resolve) => child.once('exit', (code) => resolve(code ?? 1)))
}
