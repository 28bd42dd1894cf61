// What ours is measured beside: three libraries as their docs configure them for throughput, and the loop that a good
// team writes itself. Each loads jobs in batches, posts each once and records that it is done.

import { Queue, Worker } from 'bullmq'
import { Logger, makeWorkerUtils, run, WorkerPreset } from 'graphile-worker'
import pg from 'pg'
import { PgBoss } from 'pg-boss'
import { batchesOf, CONCURRENCY, type Job } from './job.ts'

export interface Peer {
  /** Makes its tables. */
  prepare(): Promise<void>
  load(from: number, count: number): Promise<void>
  /** Begins to work. */
  start(): Promise<void>
  /** Jobs that are not recorded as done. */
  undone(): Promise<number>
  stop(): Promise<void>
}

export type CreatePeer = (url: string, post: (job: Job) => Promise<void>) => Peer

const LOAD_BATCH = 1_000
const QUEUE = 'deliveries'

async function count(pool: pg.Pool, text: string): Promise<number> {
  const { rows } = await pool.query<{ count: string }>(text)
  return Number(rows[0]?.count)
}

/** Batch insert, batch fetch, a batch settled at once, and no pause while batches come back full. */
function createPgBoss(url: string, post: (job: Job) => Promise<void>): Peer {
  const boss = new PgBoss({ connectionString: url, max: 10, supervise: false, schedule: false })
  boss.on('error', (error) => process.stderr.write(`pg-boss: ${error}\n`))
  const pool = new pg.Pool({ connectionString: url, max: 1 })
  return {
    prepare: async () => {
      await boss.start()
      await boss.createQueue(QUEUE)
    },
    load: async (from, total) => {
      for (const jobs of batchesOf(from, total, LOAD_BATCH))
        await boss.insert(
          QUEUE,
          jobs.map((data) => ({ data })),
        )
    },
    start: async () => {
      const options = { batchSize: 200, localConcurrency: 4, burstWhenBatchFull: true, pollingIntervalSeconds: 0.5 }
      await boss.work<Job>(QUEUE, options, async (jobs) => {
        await Promise.all(jobs.map(({ data }) => post(data)))
      })
    },
    undone: () => count(pool, `select count(*) from pgboss.job where name = '${QUEUE}' and state <> 'completed'`),
    stop: async () => {
      await boss.stop({ graceful: false })
      await pool.end()
    },
  }
}

/** The settings of its own performance page: a local queue of 500, completions batched without a delay. */
function createGraphileWorker(url: string, post: (job: Job) => Promise<void>): Peer {
  const logger = new Logger(() => () => {}) // a line for each job would be its largest cost
  const preset = {
    extends: [WorkerPreset],
    worker: {
      connectionString: url,
      concurrentJobs: CONCURRENCY,
      maxPoolSize: 12,
      pollInterval: 500,
      localQueue: { size: 500 },
      completeJobBatchDelay: 0,
      failJobBatchDelay: 0,
      logger,
    },
  }
  const pool = new pg.Pool({ connectionString: url, max: 1 })
  let runner: Awaited<ReturnType<typeof run>> | undefined
  const utils = makeWorkerUtils({ connectionString: url, logger })
  return {
    prepare: async () => (await utils).migrate(),
    load: async (from, total) => {
      const { addJobs } = await utils
      for (const jobs of batchesOf(from, total, LOAD_BATCH))
        await addJobs(jobs.map((payload) => ({ identifier: 'post', payload })))
    },
    start: async () => {
      runner = await run({ preset, noHandleSignals: true, taskList: { post: (payload) => post(payload as Job) } })
    },
    undone: () => count(pool, 'select count(*) from graphile_worker.jobs'),
    stop: async () => {
      await runner?.stop()
      await (await utils).release()
      await pool.end()
    },
  }
}

/** addBulk, concurrency, and completed jobs removed, on a Redis with its append-only file synced every second. */
function createBullMq(url: string, post: (job: Job) => Promise<void>): Peer {
  const { hostname, port } = new URL(url)
  const connection = { host: hostname, port: Number(port), maxRetriesPerRequest: null }
  const queue = new Queue<Job>(QUEUE, { connection })
  let worker: Worker<Job> | undefined
  return {
    prepare: async () => void (await queue.waitUntilReady()),
    load: async (from, total) => {
      for (const jobs of batchesOf(from, total, LOAD_BATCH))
        await queue.addBulk(jobs.map((data) => ({ name: 'post', data, opts: { removeOnComplete: true } })))
    },
    start: async () => {
      worker = new Worker<Job>(QUEUE, async ({ data }) => post(data), { connection, concurrency: CONCURRENCY })
      worker.on('error', (error) => process.stderr.write(`bullmq: ${error}\n`))
      await worker.waitUntilReady()
    },
    undone: async () => {
      const counts = await queue.getJobCounts('wait', 'active', 'delayed', 'failed')
      return Object.values(counts).reduce((total, each) => total + each, 0)
    },
    stop: async () => {
      await worker?.close(true)
      await queue.close()
    },
  }
}

const CLAIM = 200
const LOOPS = 4

/** Claims 200 at once under a lease (SKIP LOCKED), posts them, deletes them and logs the attempts in one statement. */
function createLoop(url: string, post: (job: Job) => Promise<void>): Peer {
  const pool = new pg.Pool({ connectionString: url, max: LOOPS + 1 })
  let stopping = false
  let running: Promise<void>[] = []
  const work = async (): Promise<void> => {
    while (!stopping) {
      const { rows } = await pool.query<{ job_id: string; job: Job; attempts: number }>({
        name: 'claim',
        text: `update jobs set locked_until = now() + interval '30 s', attempts = attempts + 1 where job_id in (
          select job_id from jobs where due_at <= now() and locked_until < now()
          order by job_id limit ${CLAIM} for update skip locked) returning job_id, job, attempts`,
      })
      if (rows.length === 0) await new Promise((resolve) => setTimeout(resolve, 10))
      else await settle(await Promise.all(rows.map(attempt)))
    }
  }
  const attempt = async ({ job_id, job, attempts }: { job_id: string; job: Job; attempts: number }) => {
    const startedMs = performance.now()
    await post(job)
    return { id: job_id, n: attempts, ms: Math.round(performance.now() - startedMs) }
  }
  const settle = async (done: readonly { id: string; n: number; ms: number }[]): Promise<void> => {
    await pool.query({
      name: 'settle',
      text: `with settled as (select * from unnest($1::bigint[], $2::smallint[], $3::integer[]) as t (job_id, n, ms)),
        gone as (delete from jobs using settled where jobs.job_id = settled.job_id returning jobs.job_id)
        insert into attempts (job_id, n, duration_ms, status) select job_id, n, ms, 200 from settled join gone using (job_id)`,
      values: [done.map(({ id }) => id), done.map(({ n }) => n), done.map(({ ms }) => ms)],
    })
  }
  return {
    prepare: async () => {
      await pool.query(`
        create table jobs (job_id bigint generated always as identity primary key, job jsonb not null,
          due_at timestamptz not null default now(), locked_until timestamptz not null default '-infinity',
          attempts smallint not null default 0)
          with (fillfactor = 85, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000);
        create table attempts (job_id bigint not null, n smallint not null, duration_ms integer not null,
          status smallint not null, at timestamptz not null default now());
        create index attempts_of_job on attempts (job_id)`)
    },
    load: async (from, total) => {
      for (const jobs of batchesOf(from, total, LOAD_BATCH))
        await pool.query({
          name: 'load',
          text: 'insert into jobs (job) select * from unnest($1::jsonb[])',
          values: [jobs.map((job) => JSON.stringify(job))],
        })
    },
    start: async () => {
      running = Array.from({ length: LOOPS }, work)
    },
    undone: () => count(pool, 'select count(*) from jobs'),
    stop: async () => {
      stopping = true
      await Promise.all(running)
      await pool.end()
    },
  }
}

/** No durability at all: what posting itself costs, which no contestant can go below. */
function createBare(_url: string, post: (job: Job) => Promise<void>): Peer {
  const queue: Job[] = []
  let undone = 0
  let taken = 0
  let stopping = false
  let running: Promise<void>[] = []
  const work = async (): Promise<void> => {
    while (!stopping) {
      const job = queue[taken]
      if (job === undefined) await new Promise((resolve) => setTimeout(resolve, 5))
      else {
        taken++
        await post(job)
        undone--
      }
    }
  }
  return {
    prepare: async () => {},
    load: async (from, total) => {
      for (const jobs of batchesOf(from, total, LOAD_BATCH)) {
        queue.push(...jobs)
        undone += jobs.length
        await new Promise((resolve) => setImmediate(resolve))
      }
    },
    start: async () => {
      running = Array.from({ length: CONCURRENCY }, work)
    },
    undone: async () => undone,
    stop: async () => {
      stopping = true
      await Promise.all(running)
    },
  }
}

export const PEERS = {
  'nothing durable': createBare,
  'pg-boss': createPgBoss,
  'graphile-worker': createGraphileWorker,
  bullmq: createBullMq,
  'skip locked loop': createLoop,
} as const satisfies Readonly<Record<string, CreatePeer>>

export type PeerName = keyof typeof PEERS
