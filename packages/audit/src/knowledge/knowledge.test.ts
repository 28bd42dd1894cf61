// The knowledge base, measured where its library is on npm. A call without its option is watched for as long as one with the option, lowered, takes to end:
// what is said to wait for ever waits longer, and the option named is the one that works.
//   KB1. Every entry has a source and says what sets its deadlines; no name belongs to two libraries of a language.
//   KB2. What is said to have no deadline is still pending when the same call with the option named has ended.
//   KB3. A 500 is thrown, or answered, as the entry says.
//   KB4. Pools are as large as the entry says.
//   KB5. Databases: the option for connecting and the one for answers each work, and neither does the other's work.

import { get } from 'node:http'
import { createRequire } from 'node:module'
import { credentials, makeGenericClientConstructor } from '@grpc/grpc-js'
import axios from 'axios'
import got from 'got'
import { Redis } from 'ioredis'
import { Kafka, logLevel } from 'kafkajs'
import ky from 'ky'
import { MongoClient } from 'mongodb'
import mysql from 'mysql2/promise'
import nodeFetch from 'node-fetch'
import pg from 'pg'
import { createClient } from 'redis'
import { request } from 'undici'
import { describe, expect, onTestFinished, test } from 'vitest'
import { listen, observe, refuse } from './far-end.fixture.ts'
import { LIBRARIES, libraryNamed, makerNamed } from './index.ts'

const SOON_MS = 60
/** No option bounds their answers: what is called does, or somebody around it. */
const UNBOUNDED = new Set(['@nestjs/microservices', 'amqplib'])
const require = createRequire(import.meta.url)
const superagent = require('superagent') as {
  get(url: string): PromiseLike<unknown> & { timeout(ms: number): PromiseLike<unknown> }
}
const amqplib = require('amqplib') as { connect(url: string, options?: object): Promise<{ close(): Promise<void> }> }

function known(name: string) {
  const library = libraryNamed('javascript', name)
  if (library === undefined) throw new Error(`${name} is not known`)
  return library
}

test('KB1: entries have sources and options, and no name is claimed twice', () => {
  for (const language of ['javascript', 'python'] as const) {
    const own = LIBRARIES.filter((library) => library.language === language)
    const names = own.flatMap(({ makes, calls }) => [...new Set([...makes, ...calls])])
    const twice = names.filter((name, index) => names.indexOf(name) !== index)
    expect(twice).toEqual([])
    for (const { name, sources, versions, answer, chained } of own) {
      expect(sources.length, name).toBeGreaterThan(0)
      for (const source of sources) expect(source, name).toMatch(/^(https:\/\/|RFC )/)
      expect(versions, name).not.toBe('')
      if (answer.ms === undefined && !UNBOUNDED.has(name))
        expect(answer.options.length + (chained?.length ?? 0), name).toBeGreaterThan(0)
    }
  }
  expect(makerNamed('javascript', '@aws-sdk/client-s3.S3Client')?.name).toBe('@aws-sdk/client-*')
  expect(makerNamed('javascript', '@aws-sdk/client-s3.GetObjectCommand')).toBeUndefined()
})

type Http = readonly [
  name: string,
  option: string,
  bare: (url: string) => PromiseLike<unknown>,
  bounded: (url: string) => PromiseLike<unknown>,
]

const viaNode = (url: string, options: object): Promise<unknown> =>
  new Promise((resolve, reject) => {
    const sent = get(url, options, (response) => resolve(response.resume()))
    sent.on('timeout', () => sent.destroy(new Error('timeout'))).on('error', reject)
  })

const HTTP: readonly Http[] = [
  ['fetch', 'signal', (url) => fetch(url), (url) => fetch(url, { signal: AbortSignal.timeout(SOON_MS) })],
  ['undici', 'headersTimeout', (url) => request(url), (url) => request(url, { signal: AbortSignal.timeout(SOON_MS) })],
  ['node', 'timeout', (url) => viaNode(url, {}), (url) => viaNode(url, { timeout: SOON_MS })],
  ['axios', 'timeout', (url) => axios.get(url), (url) => axios.get(url, { timeout: SOON_MS })],
  [
    'got',
    'timeout',
    (url) => got(url, { retry: { limit: 0 } }),
    (url) => got(url, { retry: { limit: 0 }, timeout: { request: SOON_MS } }),
  ],
  ['node-fetch', 'signal', (url) => nodeFetch(url), (url) => nodeFetch(url, { signal: AbortSignal.timeout(SOON_MS) })],
  ['ky', 'timeout', (url) => ky.get(url, { retry: 0 }), (url) => ky.get(url, { retry: 0, timeout: SOON_MS })],
  ['superagent', 'timeout', (url) => superagent.get(url), (url) => superagent.get(url).timeout(SOON_MS)],
]

describe.each(HTTP)('%s', (name, option, bare, bounded) => {
  test('KB2: waits longer than its option says, which works', async () => {
    const url = `http://127.0.0.1:${await listen()}/`
    const waiting = observe(() => bare(url))
    const ended = observe(() => bounded(url))
    await ended.settled
    expect([waiting.state(), ended.state()]).toEqual(['pending', 'threw'])
    const { answer, chained = [] } = known(name)
    expect([...answer.options, ...chained]).toContain(option)
    // What is longer than a test lasts is from the documentation.
    expect(answer.ms ?? Number.POSITIVE_INFINITY).toBeGreaterThan(SOON_MS * 10)
  })

  test('KB3: a 500 reaches the caller as is said', async () => {
    const url = await refuse(500)
    const asked = observe(() => bare(url))
    await asked.settled
    expect(asked.state()).toBe(known(name).refusal === 'throws' ? 'threw' : 'answered')
  })
})

test('KB2: clients that are configured once hand their deadline to every call', async () => {
  const url = `http://127.0.0.1:${await listen()}/`
  const api = axios.create({ timeout: SOON_MS })
  const calls = [
    observe(() => api.get(url)),
    observe(() => got.extend({ timeout: { request: SOON_MS }, retry: { limit: 0 } })(url)),
    observe(() => ky.create({ timeout: SOON_MS, retry: 0 }).get(url)),
  ]
  await Promise.all(calls.map(({ settled }) => settled))
  expect(calls.map(({ state }) => state())).toEqual(['threw', 'threw', 'threw'])
})

test('KB2: a call of gRPC has no deadline but its own', async () => {
  const Client = makeGenericClientConstructor({}, 'Any')
  const client = new Client(`127.0.0.1:${await listen()}`, credentials.createInsecure())
  onTestFinished(() => client.close())
  const call = (options: object): Promise<unknown> =>
    new Promise((resolve, reject) => {
      const same = (value: Buffer): Buffer => value
      client.makeUnaryRequest('/a/b', same, same, Buffer.alloc(0), options, (error, value) =>
        error === null ? resolve(value) : reject(error),
      )
    })
  const waiting = observe(() => call({}))
  const ended = observe(() => call({ deadline: new Date(performance.timeOrigin + performance.now() + SOON_MS) }))
  await ended.settled
  expect([waiting.state(), ended.state()]).toEqual(['pending', 'threw'])
  expect(known('@grpc/grpc-js').answer).toEqual({ ms: undefined, options: ['deadline'] })
})

/** Greets as Postgres does and then answers nothing: authentication is done, ready for a query. */
const GREETING = Buffer.from([0x52, 0, 0, 0, 8, 0, 0, 0, 0, 0x5a, 0, 0, 0, 5, 0x49])

describe('pg', () => {
  const at = (port: number, more: object) => {
    const pool = new pg.Pool({ host: '127.0.0.1', port, user: 'a', database: 'a', password: 'a', ssl: false, ...more })
    pool.on('error', () => {})
    return pool
  }

  test('KB5: connecting is bounded by connectionTimeoutMillis only', async () => {
    const port = await listen()
    const waiting = observe(() => at(port, { query_timeout: 1 }).connect())
    const ended = observe(() => at(port, { connectionTimeoutMillis: SOON_MS }).connect())
    await ended.settled
    expect([waiting.state(), ended.state()]).toEqual(['pending', 'threw'])
    expect(known('pg').connect).toEqual({ ms: undefined, options: ['connectionTimeoutMillis'] })
  })

  test('KB5: answers are bounded by query_timeout, not by the timeout for connecting', async () => {
    // A query begins with Q.
    const port = await listen((heard) => (heard[0] === 0x51 ? undefined : GREETING))
    const waiting = observe(() => at(port, { connectionTimeoutMillis: 2_000 }).query('SELECT 1'))
    const ended = observe(() => at(port, { query_timeout: SOON_MS }).query('SELECT 1'))
    await ended.settled
    expect([waiting.state(), ended.state()]).toEqual(['pending', 'threw'])
    expect(known('pg').answer.options).toContain('query_timeout')
  })
})

test('KB5: ioredis bounds connecting by itself, and commands only where it is told to', async () => {
  const port = await listen()
  const at = (more: object): Redis => {
    const redis = new Redis({ port, host: '127.0.0.1', enableReadyCheck: false, retryStrategy: () => null, ...more })
    redis.on('error', () => {})
    onTestFinished(() => redis.disconnect())
    return redis
  }
  const waiting = observe(() => at({}).get('a'))
  const ended = observe(() => at({ commandTimeout: SOON_MS }).get('a'))
  await ended.settled
  expect([waiting.state(), ended.state()]).toEqual(['pending', 'threw'])
  const { connect, answer, retries } = known('ioredis')
  const { options } = at({})
  expect([options.connectTimeout, options.commandTimeout, options.maxRetriesPerRequest]).toEqual([
    connect.ms,
    answer.ms,
    retries,
  ])
  expect(answer.options).toContain('commandTimeout')
})

test('KB5: redis waits for the answer to a command for ever, unless its socket has a timeout', async () => {
  const port = await listen((heard) => {
    // Greets with an empty map and takes whatever it is told of the client; then it says nothing.
    const greeting = heard.includes('HELLO') ? '%0\r\n' : ''
    const noted = '+OK\r\n'.repeat(heard.toString().match(/SETINFO|MAINT_NOTIFICATIONS/g)?.length ?? 0)
    return `${greeting}${noted}`
  })
  const at = async (socket: object, more: object = {}) => {
    const client = createClient({ socket: { port, host: '127.0.0.1', reconnectStrategy: false, ...socket }, ...more })
    client.on('error', () => {})
    onTestFinished(() => {
      if (client.isOpen) client.destroy()
    })
    await client.connect()
    return client
  }
  const waiting = [
    observe(async () => (await at({})).get('a')),
    observe(async () => (await at({}, { commandOptions: { timeout: 1 } })).get('a')),
  ]
  const ended = observe(async () => (await at({ socketTimeout: SOON_MS })).get('a'))
  await ended.settled
  expect([...waiting, ended].map(({ state }) => state())).toEqual(['pending', 'pending', 'threw'])
  expect(known('redis').answer.options).toEqual(['socketTimeout'])
})

test('KB5: mysql2 bounds connecting', async () => {
  const port = await listen()
  const at = (more: object) => mysql.createConnection({ host: '127.0.0.1', port, user: 'a', ...more })
  const waiting = observe(() => at({}))
  const ended = observe(() => at({ connectTimeout: SOON_MS }))
  await ended.settled
  expect([waiting.state(), ended.state()]).toEqual(['pending', 'threw'])
  expect(known('mysql2').connect.options).toContain('connectTimeout')
})

test('KB5: mongodb gives up looking for a server', async () => {
  const port = await listen()
  const at = (more: object): MongoClient => new MongoClient(`mongodb://127.0.0.1:${port}/`, more)
  const client = at({ serverSelectionTimeoutMS: SOON_MS })
  const ended = observe(() => client.db('a').command({ ping: 1 }))
  await ended.settled
  expect(ended.state()).toBe('threw')
  await client.close()
  const { connect, answer, pool } = known('mongodb')
  const { options } = at({})
  expect([options.serverSelectionTimeoutMS, options.maxPoolSize]).toEqual([connect.ms, pool?.size])
  expect([options.socketTimeoutMS, answer.ms]).toEqual([0, undefined])
  expect(options.waitQueueTimeoutMS).toBe(0)
})

test('KB5: kafkajs gives up by itself, amqplib does not', async () => {
  const port = await listen()
  const kafka = new Kafka({
    brokers: [`127.0.0.1:${port}`],
    logLevel: logLevel.NOTHING,
    requestTimeout: SOON_MS,
    retry: { retries: 0 },
  })
  const admin = kafka.admin()
  const waiting = observe(() => amqplib.connect(`amqp://127.0.0.1:${port}`))
  const ended = [
    observe(() => admin.connect().then(() => admin.listTopics())),
    observe(() => amqplib.connect(`amqp://127.0.0.1:${port}`, { timeout: SOON_MS })),
  ]
  await Promise.all(ended.map(({ settled }) => settled))
  expect([waiting.state(), ...ended.map(({ state }) => state())]).toEqual(['pending', 'threw', 'threw'])
  expect(known('amqplib').connect).toEqual({ ms: undefined, options: ['timeout'] })
  await admin.disconnect()
})

test('KB4: pools are as large as is said', () => {
  expect(new pg.Pool({}).options.max).toBe(known('pg').pool?.size)
  const pool = mysql.createPool({ host: '127.0.0.1' })
  const { config } = pool.pool as unknown as { readonly config: { readonly connectionLimit: number } }
  expect(config.connectionLimit).toBe(known('mysql2').pool?.size)
})
