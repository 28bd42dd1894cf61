// Databases, caches and brokers of JavaScript.

import { each, type Library, words } from './library.ts'

const base = { language: 'javascript', refusal: 'throws', retries: 0, calls: [], methods: [] } as const
const PG_ANSWER = words('statement_timeout query_timeout options')

const REDIS_METHODS = words(
  'get set setex setnx getset del exists expire incr decr incrby hget hset hgetall hdel hmget hmset lpush rpush lpop rpop blpop brpop lrange llen sadd srem smembers sismember zadd zrange zrangebyscore zrem publish ping eval evalsha mget mset keys scan xadd xread xreadgroup ttl pexpire hSet hGet hGetAll setEx setNX lPush rPush lPop rPop sAdd sRem sMembers zAdd zRange xAdd mGet mSet incrBy sendCommand getEx getDel hDel hExists hIncrBy hKeys hVals hLen lRange lLen lRem lTrim lMove blPop brPop zRem zCard zScore zIncrBy zRangeByScore zRangeWithScores zRemRangeByScore sIsMember sCard sPop xRead xReadGroup xAck decrBy pExpire scard spop zcard zscore zincrby hexists hincrby lrem ltrim',
)

export const JAVASCRIPT_DATA: readonly Library[] = [
  {
    ...base,
    name: 'pg',
    kind: 'postgres',
    versions: '8',
    connect: { ms: undefined, options: ['connectionTimeoutMillis'] },
    answer: { ms: undefined, options: PG_ANSWER },
    pool: { size: 10, wait: { ms: undefined, options: ['connectionTimeoutMillis'] } },
    makes: words('pg.Pool pg.Client pg.default.Pool pg-pool @neondatabase/serverless.Pool @vercel/postgres.createPool'),
    methods: words('query connect'),
    lends: ['connect'],
    sources: ['https://node-postgres.com/apis/pool', 'https://node-postgres.com/apis/client'],
  },
  {
    ...base,
    name: 'postgres',
    kind: 'postgres',
    versions: '3',
    connect: { ms: 30_000, options: ['connect_timeout'] },
    // Settings of the session, under `connection`.
    answer: { ms: undefined, options: ['statement_timeout'] },
    pool: { size: 10, wait: { ms: undefined, options: ['statement_timeout'] } },
    makes: words('postgres postgres.default'),
    sources: ['https://github.com/porsager/postgres#connection-details'],
  },
  {
    ...base,
    name: 'mysql2',
    kind: 'mysql',
    versions: '2 and 3',
    connect: { ms: 10_000, options: words('connectTimeout') },
    // Bounded by the query: { sql, timeout }.
    answer: { ms: undefined, options: words('timeout') },
    pool: { size: 10, wait: { ms: undefined, options: ['queueLimit', 'waitForConnections'] } },
    makes: [
      ...each('mysql2', 'createPool createConnection createPoolCluster'),
      ...each('mysql2/promise', 'createPool createConnection'),
      ...each('mysql', 'createPool createConnection'),
    ],
    methods: words('query execute getConnection'),
    lends: ['getConnection'],
    sources: ['https://sidorares.github.io/node-mysql2/docs', 'https://github.com/mysqljs/mysql#timeouts'],
  },
  {
    ...base,
    name: 'mongodb',
    kind: 'mongodb',
    versions: '4 to 7',
    connect: { ms: 30_000, options: words('serverSelectionTimeoutMS connectTimeoutMS') },
    // A dead server is seen by the monitor; what is unbounded is a slow answer. Until there is a connection mongoose keeps a call back for 10 s.
    answer: { ms: undefined, options: words('socketTimeoutMS timeoutMS maxTimeMS') },
    pool: { size: 100, wait: { ms: undefined, options: ['waitQueueTimeoutMS', 'timeoutMS'] } },
    retries: 1,
    makes: words('mongodb.MongoClient mongodb.MongoClient.connect mongoose.connect mongoose.createConnection'),
    // Of its collections.
    methods: words(
      'insertOne insertMany updateOne updateMany replaceOne deleteOne deleteMany bulkWrite findOne findOneAndUpdate findOneAndReplace findOneAndDelete find aggregate countDocuments distinct',
    ),
    lends: words('db collection'),
    sources: [
      'https://www.mongodb.com/docs/drivers/node/current/connect/connection-options/',
      'https://mongoosejs.com/docs/connections.html#options',
    ],
  },
  {
    ...base,
    name: 'ioredis',
    kind: 'redis',
    versions: '4 to 6',
    connect: { ms: 10_000, options: ['connectTimeout'] },
    answer: { ms: undefined, options: words('commandTimeout socketTimeout') },
    // Each command outlives so many reconnects; a server that is there and silent is waited for for ever.
    retries: 20,
    makes: words('ioredis ioredis.Redis ioredis.default ioredis.Cluster ioredis.Redis.Cluster'),
    methods: REDIS_METHODS,
    sources: [
      'https://github.com/redis/ioredis#auto-reconnect',
      'https://redis.github.io/ioredis/interfaces/CommonRedisOptions.html',
    ],
  },
  {
    ...base,
    name: 'redis',
    kind: 'redis',
    versions: '4 to 6',
    connect: { ms: 5_000, options: ['connectTimeout'] },
    // `commandOptions.timeout` ends only what was not sent yet: measured with 6.3.1.
    answer: { ms: undefined, options: ['socketTimeout'] },
    retries: Number.POSITIVE_INFINITY,
    makes: words('redis.createClient redis.createCluster @redis/client.createClient'),
    methods: REDIS_METHODS,
    sources: ['https://github.com/redis/node-redis/blob/master/docs/client-configuration.md'],
  },
  {
    ...base,
    name: 'knex',
    kind: 'other',
    versions: '1 to 3',
    connect: { ms: 30_000, options: words('acquireConnectionTimeout createTimeoutMillis connectionTimeoutMillis') },
    answer: { ms: undefined, options: [...PG_ANSWER, 'timeout'] },
    pool: { size: 10, wait: { ms: 60_000, options: ['acquireConnectionTimeout', 'acquireTimeoutMillis'] } },
    makes: words('knex knex.knex knex.default'),
    sources: ['https://knexjs.org/guide/#acquireconnectiontimeout'],
  },
  {
    ...base,
    name: 'sequelize',
    kind: 'other',
    versions: '5 to 6',
    connect: { ms: 60_000, options: words('acquire connectTimeout') },
    answer: { ms: undefined, options: [...PG_ANSWER, 'requestTimeout', 'maxTimeMS'] },
    pool: { size: 5, wait: { ms: 60_000, options: ['acquire'] } },
    makes: words('sequelize.Sequelize sequelize sequelize-typescript.Sequelize'),
    sources: ['https://sequelize.org/docs/v6/other-topics/connection-pool/'],
  },
  {
    ...base,
    name: 'typeorm',
    kind: 'other',
    versions: '0.3',
    connect: {
      ms: undefined,
      options: words('connectTimeoutMS connectTimeout connectionTimeoutMillis acquireTimeout'),
    },
    answer: { ms: undefined, options: [...PG_ANSWER, 'maxQueryExecutionTimeout', 'requestTimeout'] },
    pool: { size: 10, wait: { ms: undefined, options: ['connectTimeoutMS', 'connectionTimeoutMillis'] } },
    makes: [
      ...each('typeorm', 'DataSource createConnection'),
      ...each('@nestjs/typeorm', 'TypeOrmModule.forRoot TypeOrmModule.forRootAsync'),
    ],
    sources: ['https://typeorm.io/docs/data-source/data-source-options/'],
  },
  {
    ...base,
    name: 'prisma',
    kind: 'other',
    versions: '4 to 6',
    connect: { ms: 5_000, options: words('connect_timeout') },
    // Of the pool; what a statement takes is for the database to bound.
    answer: { ms: 10_000, options: words('pool_timeout socket_timeout timeout') },
    pool: { size: undefined, wait: { ms: 10_000, options: ['pool_timeout'] } },
    makes: words('@prisma/client.PrismaClient'),
    sources: [
      'https://www.prisma.io/docs/orm/prisma-client/setup-and-configuration/databases-connections/connection-pool',
    ],
  },
  {
    ...base,
    name: 'kafkajs',
    kind: 'kafka',
    versions: '1 and 2',
    connect: { ms: 1_000, options: ['connectionTimeout'] },
    answer: { ms: 30_000, options: ['requestTimeout'] },
    retries: 5,
    makes: words('kafkajs.Kafka'),
    methods: words('send sendBatch'),
    sources: ['https://kafka.js.org/docs/configuration'],
  },
  {
    ...base,
    name: 'amqplib',
    kind: 'amqp',
    versions: '0.8 to 2',
    connect: { ms: undefined, options: words('timeout') },
    // No option does; a broker whose machine is gone is noticed by heartbeats, where it asks for them.
    answer: { ms: undefined, options: [] },
    makes: words('amqplib.connect amqplib/callback_api.connect'),
    methods: words('createChannel createConfirmChannel'),
    sources: ['https://amqp-node.github.io/amqplib/channel_api.html#connect'],
  },
  {
    ...base,
    name: 'bullmq',
    kind: 'redis',
    versions: '1 to 6, bull 4',
    connect: { ms: 10_000, options: ['connectTimeout'] },
    // Its blocking connection must have none.
    answer: { ms: Number.POSITIVE_INFINITY, options: [] },
    retries: 0,
    makes: words('bullmq.Queue bullmq.Worker bullmq.QueueEvents bullmq.FlowProducer bull'),
    methods: words('add addBulk'),
    sources: ['https://docs.bullmq.io/guide/connections', 'https://docs.bullmq.io/guide/going-to-production'],
  },
]
