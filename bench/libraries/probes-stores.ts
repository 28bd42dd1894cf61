// Databases, caches and brokers, each pointed at a far end on loopback that greets and then says nothing.

import { amqp, full, mysql, postgres, redis, silent } from './far-ends.ts'
import { type Load, of, type Probe, read, SOON_MS } from './probe.ts'

const HOST = '127.0.0.1'
const AS = { host: HOST, user: 'a', password: 'a', database: 'a' }

const pool = ({ default: pg }: Load, port: number, more: object = {}) => {
  const made = new pg.Pool({ ...AS, port, ssl: false, ...more })
  made.on('error', () => {})
  return made
}
const sql = ({ default: make }: Load, port: number, more: object = {}) =>
  make({ ...AS, port, ssl: false, fetch_types: false, ...more })
const knex = ({ default: make }: Load, port: number, more: object = {}) =>
  make({ client: 'pg', connection: { ...AS, port, ssl: false }, ...more })
const sequelize = ({ Sequelize }: Load, port: number, more: object = {}) =>
  new Sequelize('a', 'a', 'a', {
    host: HOST,
    port,
    dialect: 'postgres',
    logging: false,
    databaseVersion: '16.0.0',
    ...more,
  })
const source = ({ DataSource }: Load, port: number, more: object = {}) =>
  new DataSource({ type: 'postgres', host: HOST, port, username: 'a', database: 'a', ...more })
const connection = ({ default: mysql2 }: Load, port: number, more: object = {}) =>
  mysql2.createPool({ host: HOST, port, user: 'a', ...more })
const asked = (made: Load, what: string | object = 'SELECT 1'): Promise<unknown> =>
  new Promise((resolve, reject) => {
    made.query(what, (error: unknown, rows: unknown) => (error ? reject(error) : resolve(rows)))
  })
const cache = ({ Redis }: Load, port: number, more: object = {}) => {
  const made = new Redis({ host: HOST, port, enableReadyCheck: false, ...more })
  made.on('error', () => {})
  return made
}
const queue = ({ Queue }: Load, port: number) => {
  const made = new Queue('a', { connection: { host: HOST, port } })
  made.on('error', () => {})
  return made
}
const broker = ({ default: lib }: Load, port: number, more?: object) => lib.connect(`amqp://a:a@${HOST}:${port}`, more)
const nats = ({ connect }: Load, port: number, more: object = {}) =>
  connect({ servers: `${HOST}:${port}`, reconnect: false, maxReconnectAttempts: 0, ...more })
const mongoose = ({ default: lib }: Load, port: number, more: object = {}) =>
  lib.createConnection(`mongodb://${HOST}:${port}/a`, more).asPromise()
const hub = ({ default: lib }: Load, port: number, more: object = {}) =>
  new lib.ConnectionPool({
    server: HOST,
    port,
    user: 'a',
    password: 'a',
    options: { encrypt: false },
    ...more,
  }).connect()
const kafka = ({ Kafka, logLevel }: Load, port: number, more: object = {}) =>
  new Kafka({ brokers: [`${HOST}:${port}`], logLevel: logLevel.NOTHING, ...more })

export const PROBES_OF_STORES: readonly Probe[] = [
  ...of('pg', 'pg', {
    connect: async (m) => pool(m, (await silent()).port).connect(),
    answer: async (m) => pool(m, (await postgres()).port).query('SELECT 1'),
    option: async (m) => pool(m, (await postgres()).port, { query_timeout: SOON_MS }).query('SELECT 1'),
    option_connect: async (m) => pool(m, (await silent()).port, { connectionTimeoutMillis: SOON_MS }).connect(),
    size: read(({ default: pg }) => new pg.Pool().options.max),
    pool: async (m) => {
      const made = pool(m, (await postgres()).port, { max: 1 })
      await made.connect()
      return made.connect()
    },
  }),
  ...of('postgres', 'postgres', {
    connect: async (m) => sql(m, (await silent()).port)`SELECT 1`,
    connect_full: async (m) => sql(m, await full())`SELECT 1`,
    answer: async (m) => sql(m, (await postgres()).port)`SELECT 1`,
    option_connect: async (m) => sql(m, (await silent()).port, { connect_timeout: 1 })`SELECT 1`,
    default_connect: read((m) => sql(m, 1).options.connect_timeout * 1000),
    size: read((m) => sql(m, 1).options.max),
  }),
  ...of('knex', 'knex', {
    connect: async (m) => knex(m, (await silent()).port).raw('SELECT 1'),
    default_pool: read((m) => knex(m, 1).client.pool.acquireTimeoutMillis),
    answer: async (m) => knex(m, (await postgres()).port, { version: '16' }).raw('SELECT 1'),
    option_connect: async (m) => knex(m, (await silent()).port, { acquireConnectionTimeout: SOON_MS }).raw('SELECT 1'),
    option: async (m) =>
      knex(m, (await postgres()).port, { version: '16' })
        .raw('SELECT 1')
        .timeout(SOON_MS),
    size: read((m) => knex(m, 1).client.pool.max),
  }),
  ...of('sequelize', 'sequelize', {
    connect: async (m) => sequelize(m, (await silent()).port).query('SELECT 1'),
    default_pool: read((m) => sequelize(m, 1).connectionManager.config.pool.acquire),
    answer: async (m) => sequelize(m, (await postgres()).port).query('SELECT 1'),
    option_connect: async (m) => sequelize(m, (await silent()).port, { pool: { acquire: SOON_MS } }).query('SELECT 1'),
    size: read((m) => sequelize(m, 1).connectionManager.config.pool.max),
  }),
  ...of('typeorm', 'typeorm', {
    connect: async (m) => source(m, (await silent()).port).initialize(),
    answer: async (m) => source(m, (await postgres()).port).initialize(),
    option_connect: async (m) => source(m, (await silent()).port, { connectTimeoutMS: SOON_MS }).initialize(),
  }),
  ...of('mysql2', 'mysql2', {
    connect: async (m) => asked(connection(m, (await silent()).port)),
    answer: async (m) => asked(connection(m, (await mysql()).port)),
    option: async (m) => asked(connection(m, (await mysql()).port), { sql: 'SELECT 1', timeout: SOON_MS }),
    option_connect: async (m) => asked(connection(m, (await silent()).port, { connectTimeout: SOON_MS })),
    size: read((m) => connection(m, 1).config.connectionLimit),
    pool: async (m) => {
      const made = connection(m, (await mysql()).port, { connectionLimit: 1 })
      const lent = () =>
        new Promise((resolve, reject) =>
          made.getConnection((error: unknown, one: unknown) => (error ? reject(error) : resolve(one))),
        )
      await lent()
      return lent()
    },
  }),
  ...of('mysql2', 'mysql', {
    connect: async (m) => asked(connection(m, (await silent()).port)),
    answer: async (m) => asked(connection(m, (await mysql()).port)),
    option: async (m) => asked(connection(m, (await mysql()).port), { sql: 'SELECT 1', timeout: SOON_MS }),
    size: read((m) => connection(m, 1).config.connectionLimit),
  }),
  ...of('mssql', 'mssql', {
    connect: async (m) => hub(m, (await silent()).port),
    option_connect: async (m) => hub(m, (await silent()).port, { connectionTimeout: SOON_MS }),
    default: read(async () => {
      const { Connection } = (await import('tedious')) as Load
      return new Connection({ server: HOST, options: { connectTimeout: 1 } }).config.options.requestTimeout
    }),
  }),
  ...of('mongodb', 'mongoose', {
    connect: async (m) => mongoose(m, (await silent()).port),
    option_connect: async (m) => mongoose(m, (await silent()).port, { serverSelectionTimeoutMS: SOON_MS }),
    default_connect: read(
      ({ default: lib }) => new lib.mongo.MongoClient('mongodb://a').options.serverSelectionTimeoutMS,
    ),
    size: read(({ default: lib }) => new lib.mongo.MongoClient('mongodb://a').options.maxPoolSize),
    buffered: async ({ default: lib }) => {
      const made = lib.createConnection(`mongodb://${HOST}:${(await silent()).port}/a`)
      made.asPromise().catch(() => {})
      return made.model('A', new lib.Schema({})).findOne()
    },
  }),
  ...of('ioredis', 'ioredis', {
    connect: async (m) => cache(m, await full(), { retryStrategy: null }).get('a'),
    answer: async (m) => cache(m, (await redis()).port).get('a'),
    option: async (m) => cache(m, (await redis()).port, { commandTimeout: SOON_MS }).get('a'),
    retries: read((m) => cache(m, 1, { lazyConnect: true }).options.maxRetriesPerRequest),
  }),
  ...of('redis', 'redis', {
    connect: async ({ createClient }) => {
      const made = createClient({ socket: { host: HOST, port: await full(), reconnectStrategy: false } })
      made.on('error', () => {})
      return made.connect()
    },
    answer: async ({ createClient }) => {
      const made = createClient({ socket: { host: HOST, port: (await redis()).port } })
      made.on('error', () => {})
      await made.connect()
      return made.get('a')
    },
    option: async ({ createClient }) => {
      const made = createClient({
        socket: { host: HOST, port: (await redis()).port, socketTimeout: SOON_MS, reconnectStrategy: false },
      })
      made.on('error', () => {})
      await made.connect()
      return made.get('a')
    },
  }),
  ...of('bullmq', 'bullmq', { answer: async (m) => queue(m, (await redis()).port).add('a', {}) }),
  ...of('kafkajs', 'kafkajs', {
    connect: async (m) =>
      kafka(m, await full(), { retry: { retries: 0 } })
        .producer()
        .connect(),
    answer: async (m) =>
      kafka(m, (await silent()).port, { retry: { retries: 0 } })
        .producer()
        .connect(),
  }),
  ...of('amqplib', 'amqplib', {
    connect: async (m) => broker(m, (await silent()).port),
    option_connect: async (m) => broker(m, (await silent()).port, { timeout: SOON_MS }),
    answer: async (m) => (await (await broker(m, (await amqp()).port)).createChannel()).assertQueue('a'),
    option_answer: async (m) =>
      (await (await broker(m, (await amqp()).port, { timeout: SOON_MS })).createChannel()).assertQueue('a'),
  }),
  ...of('amqp-connection-manager', 'amqp-connection-manager', {
    answer: async (m) =>
      broker(m, (await silent()).port)
        .createChannel({ json: true })
        .sendToQueue('a', {}),
  }),
  ...of('nats', 'nats', {
    connect: async (m) => nats(m, (await silent()).port),
    option_connect: async (m) => nats(m, (await silent()).port, { timeout: SOON_MS }),
  }),
  ...of('mqtt', 'mqtt', {
    connect: async ({ default: lib }) =>
      lib.connectAsync(`mqtt://${HOST}:${(await silent()).port}`, { reconnectPeriod: 0 }),
    default_connect: read(
      ({ default: lib }) => lib.connect(`mqtt://${HOST}:1`, { manualConnect: true }).options.connectTimeout,
    ),
    option_connect: async ({ default: lib }) =>
      lib.connectAsync(`mqtt://${HOST}:${(await silent()).port}`, { reconnectPeriod: 0, connectTimeout: SOON_MS }),
  }),
]
