import { type ChildProcess, spawn } from 'node:child_process'
import { text } from 'node:stream/consumers'
import type { Clock } from '@ripstop/kernel'
import fc from 'fast-check'
import { afterEach, describe, expect, it } from 'vitest'

const children: ChildProcess[] = []
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
})

/** A real process that logs to a real pipe. */
function run(script: string) {
  const logUrl = new URL('./log.ts', import.meta.url).href
  const code = `import { createLog } from ${JSON.stringify(logUrl)}\n${script}`
  const child = spawn(process.execPath, ['--input-type=module-typescript', '-e', code], {
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  })
  children.push(child)
  const message = () => new Promise<unknown>((resolve) => child.once('message', resolve))
  const exited = new Promise<number | string>((resolve) =>
    child.once('exit', (status, signal) => resolve(status ?? signal ?? '')),
  )
  return { child, message, exited }
}

const FLOOD = `
const log = createLog({ level: 'info', processName: 'edge' })
let slowestMs = 0
for (let round = 0; round < 200; round++) {
  const startMs = performance.now()
  for (let line = 0; line < 100; line++) log.info({ event: 'flood.line', text: 'x'.repeat(1_000) })
  await new Promise((resolve) => setImmediate(resolve))
  slowestMs = Math.max(slowestMs, performance.now() - startMs)
}
process.send({ slowestMs, heapMb: process.memoryUsage().heapUsed / 1_048_576 })
`

import { createLineWriter, QUEUE_BYTES_MAX } from './line-writer.ts'

/** A descriptor that takes as much as it is told to, and a clock whose retries are fired by hand. */
function setUp() {
  let room = Number.POSITIVE_INFINITY
  let failure: string | undefined
  let taken = ''
  const due: (() => void)[] = []
  const schedule = (_delayMs: number, fire: () => void) => {
    due.push(fire)
    return () => {}
  }
  const clock: Clock = { wallMs: () => 0, monoMs: () => 0, schedule }
  const writer = createLineWriter(1, {
    clock,
    describeDrop: (lines) => `dropped ${lines}\n`,
    writeBytes: (_descriptor, bytes) => {
      if (failure !== undefined) throw Object.assign(new Error('write'), { code: failure })
      if (room === 0) throw Object.assign(new Error('write'), { code: 'EAGAIN' })
      const part = bytes.subarray(0, room)
      room -= part.length
      taken += Buffer.from(part).toString()
      return part.length
    },
  })
  return {
    writer,
    due,
    makeRoom: (bytes: number) => (room = bytes),
    fail: (code: string | undefined) => (failure = code),
    retry: () => due.splice(0).forEach((fire) => void fire()),
    taken: () => taken,
  }
}

describe('the queue', () => {
  it('keeps lines whole and in order however little room there is', () => {
    fc.assert(
      fc.property(
        fc.array(fc.string({ maxLength: 20 }), { maxLength: 30 }),
        fc.array(fc.nat(15), { maxLength: 30 }),
        (lines, rooms) => {
          const { writer, makeRoom, retry, taken, due } = setUp()
          for (const [index, line] of lines.entries()) {
            makeRoom(rooms[index] ?? 0)
            writer.write(`${line}\n`)
            expect(due.length).toBeLessThanOrEqual(1)
            if (index % 3 === 0) retry()
          }
          makeRoom(Number.POSITIVE_INFINITY)
          writer.flush()
          expect(taken()).toBe(lines.map((line) => `${line}\n`).join(''))
        },
      ),
    )
  })

  it('LW1, LW3: holds a bounded number of bytes, and says how many lines it had to drop', () => {
    const { writer, makeRoom, retry, taken } = setUp()
    makeRoom(0)
    const line = `${'x'.repeat(1_023)}\n`
    for (let count = 0; count < 5_000; count++) writer.write(line)
    makeRoom(Number.POSITIVE_INFINITY)
    retry()
    expect(taken().length).toBe(QUEUE_BYTES_MAX)
    writer.write('next\n')
    expect(taken().slice(QUEUE_BYTES_MAX)).toBe(`dropped ${5_000 - QUEUE_BYTES_MAX / 1_024}\nnext\n`)
  })

  it('LW2, LW3: after an error the next line is tried again', () => {
    const { writer, fail, taken, due } = setUp()
    for (const code of ['EPIPE', 'ENOSPC', 'EIO']) {
      fail(code)
      writer.write('lost\n')
    }
    fail(undefined)
    writer.write('next\n')
    expect(taken()).toBe('dropped 3\nnext\n')
    expect(due).toEqual([])
  })
})

describe('a real pipe', () => {
  it('LG1, LW1, LW3: a reader that stands still stops nothing; what does not fit is dropped and said', async () => {
    const { child, message } = run(`${FLOOD}
      process.once('message', () => {
        log.flush() // ends when the reader has caught up
        log.info({ event: 'flood.over' })
        process.disconnect()
      })`)
    const report = (await message()) as { slowestMs: number; heapMb: number } // 20 MB were logged, nothing was read
    expect(report.slowestMs).toBeLessThan(1_000)
    expect(report.heapMb).toBeLessThan(100)
    child.send('go')
    const lines = (await text(child.stdout!))
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { event: string; lines?: number })
    const passed = lines.filter(({ event }) => event === 'flood.line').length
    const dropped = lines.reduce(
      (sum, { event, lines: count }) => sum + (event === 'log.dropped' ? (count ?? 0) : 0),
      0,
    )
    expect(lines.at(-1)?.event).toBe('flood.over')
    expect(passed).toBeGreaterThan(1_000)
    expect(passed + dropped).toBe(20_000)
  })

  it('LW2: a reader that is gone stops nothing, and flush does not hang the exit', async () => {
    const { child, message, exited } = run(
      `${FLOOD}\nlog.error({ event: 'last.words' })\nlog.flush()\nprocess.disconnect()`,
    )
    child.stdout?.destroy()
    await message()
    expect(await exited).toBe(0)
  })

  it('LG1: flush gives up on a reader that takes nothing, within two seconds', async () => {
    const { message, exited } = run(`${FLOOD}
      const startMs = performance.now()
      log.flush()
      process.send({ flushMs: performance.now() - startMs }, () => process.exit(3))`)
    const flushed = new Promise((resolve) => void message().then(() => message().then(resolve)))
    expect(((await flushed) as { flushMs: number }).flushMs).toBeLessThan(3_000)
    expect(await exited).toBe(3)
  })

  it('flush writes everything before an exit, in order', async () => {
    const { child } = run(`
      const log = createLog({ level: 'info', processName: 'cli' })
      for (let n = 0; n < 500; n++) log.info({ event: 'n.counted', n })
      log.flush()
      process.exit(0)`)
    const lines = (await text(child.stdout!)).trimEnd().split('\n')
    expect(lines.map((line) => (JSON.parse(line) as { n: number }).n)).toEqual(Array.from({ length: 500 }, (_, n) => n))
  })
})
