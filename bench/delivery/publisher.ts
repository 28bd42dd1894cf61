// Publishes events to a mesh over HTTP, in a process of its own: as many as it can in batches, or one by one at a steady pace.
// Event n has the type that `types` gives at n modulo their number, and n in its data.

import { Pool } from 'undici'
import { answer } from '../ipc.ts'
import { createJob } from './job.ts'

const BATCH = 500
const PARALLEL = 4
const AGAIN_MS = 50

const [base = ''] = process.argv.slice(2)
const pool = new Pool(base, { connections: 64 })

function eventOf(n: number, types: readonly string[]): object {
  return { type: types[n % types.length], source: 'bench', data: createJob(n) }
}

async function publish(body: object): Promise<{ readonly status: number; readonly text: string }> {
  const response = await pool.request({
    method: 'POST',
    path: '/v1/events',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
  return { status: response.statusCode, text: await response.body.text() }
}

/** A batch is repeated when the mesh says that it is too much; nothing else may go wrong. */
async function publishBatch(events: readonly object[]): Promise<void> {
  for (;;) {
    const { status, text } = await publish({ events })
    if (status >= 200 && status < 300) {
      if (status !== 200) throw new Error(`a batch was not taken whole: ${text.slice(0, 500)}`)
      return
    }
    if (status !== 429 && status !== 503) throw new Error(`publish was answered ${status}: ${text.slice(0, 500)}`)
    await new Promise((resolve) => setTimeout(resolve, AGAIN_MS))
  }
}

interface Load {
  readonly from: number
  readonly count: number
  readonly types: readonly string[]
}

async function load({ from, count, types }: Load): Promise<void> {
  let next = from
  const work = async (): Promise<void> => {
    while (next < from + count) {
      const first = next
      next = Math.min(from + count, first + BATCH)
      await publishBatch(Array.from({ length: next - first }, (_, index) => eventOf(first + index, types)))
    }
  }
  await Promise.all(Array.from({ length: PARALLEL }, work))
}

interface Pace {
  readonly from: number
  readonly perSecond: number
  readonly seconds: number
  readonly types: readonly string[]
}

/** When each was sent, us of the monotonic clock. Open loop: it never waits for an answer before the next. */
async function pace({ from, perSecond, seconds, types }: Pace): Promise<Float64Array> {
  const count = Math.round(perSecond * seconds)
  const sentUs = new Float64Array(count)
  const answers: Promise<unknown>[] = []
  const startedMs = performance.now()
  for (let sent = 0; sent < count; ) {
    const due = Math.min(count, Math.floor(((performance.now() - startedMs) / 1_000) * perSecond) + 1)
    for (; sent < due; sent++) {
      sentUs[sent] = Number(process.hrtime.bigint() / 1_000n)
      answers.push(publish(eventOf(from + sent, types)).then(check))
    }
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
  await Promise.all(answers)
  return sentUs
}

function check({ status, text }: { readonly status: number; readonly text: string }): void {
  if (status < 200 || status >= 300) throw new Error(`publish was answered ${status}: ${text.slice(0, 500)}`)
}

answer({ load, pace })
