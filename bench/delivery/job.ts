// The work that every contestant is given: a number and filling, 1 KB together, and the one HTTP client that sends it.

import { Pool } from 'undici'

const BYTES = 1_024
const HEAD = '{"n":,"text":""}'.length
/** What each contestant may have under way at once. */
export const CONCURRENCY = 64

export interface Job {
  readonly n: number
  readonly text: string
}

const filling = 'x'.repeat(BYTES)

export function createJob(n: number): Job {
  return { n, text: filling.slice(0, BYTES - HEAD - String(n).length) }
}

/** Numbers `from` to `from + count`, in batches. */
export function* batchesOf(from: number, count: number, size: number): Generator<readonly Job[]> {
  for (let first = from; first < from + count; first += size) {
    yield Array.from({ length: Math.min(size, from + count - first) }, (_, index) => createJob(first + index))
  }
}

/** Posts one job as JSON; rejects unless it is taken. */
export function createPost(url: string): (job: Job) => Promise<void> {
  const { origin, pathname } = new URL(url)
  const pool = new Pool(origin, { connections: CONCURRENCY, headersTimeout: 15_000, bodyTimeout: 15_000 })
  const headers = { 'content-type': 'application/json' }
  return async (job) => {
    const response = await pool.request({ method: 'POST', path: pathname, headers, body: JSON.stringify(job) })
    await response.body.dump()
    if (response.statusCode !== 200) throw new Error(`answered ${response.statusCode}`)
  }
}
