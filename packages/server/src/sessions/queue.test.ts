import { background, createEnv } from '@ripstop/kernel'
import { createFakeClock, settle } from '@ripstop/kernel/testing'
import { expect, test } from 'vitest'
import { SessionQueue, WAITING_MAX } from './queue.ts'

const clock = createFakeClock()
const ctx = background(createEnv({ clock }))

/** Work that ends when told to. */
function work(name: string, done: string[]) {
  const { promise, resolve } = Promise.withResolvers<void>()
  return { end: resolve, run: () => promise.then(() => void done.push(name)) }
}

test('EN1: what one session is asked is done one after the other, the first received first; another session does not wait', async () => {
  const queue = new SessionQueue()
  const done: string[] = []
  const first = work('first', done)
  const running = queue.run(ctx, 'a', 100, first.run)
  const waiting = [
    queue.run(ctx, 'a', 105, work('late', done).run.bind(undefined)),
    queue.run(ctx, 'a', 99, async () => void done.push('early')),
    queue.run(ctx, 'a', 99, async () => void done.push('as early, came later')),
  ]
  await queue.run(ctx, 'b', 200, async () => void done.push('other'))
  expect(done).toEqual(['other'])
  first.end()
  await running
  await Promise.all(waiting.slice(1))
  expect(done).toEqual(['other', 'first', 'early', 'as early, came later'])
  expect(queue.size).toBe(1) // the one that never ends
})

test('EN1: at the bound a command is told SESSION_BUSY at once; one that gave up leaves its place, and was not done', async () => {
  const queue = new SessionQueue()
  const done: string[] = []
  const first = work('first', done)
  const running = queue.run(ctx, 'a', 1, first.run)
  const impatient = ctx.within(50)
  const givenUp = queue.run(impatient, 'a', 2, async () => void done.push('given up'))
  const others = Array.from({ length: WAITING_MAX - 1 }, (_, n) => queue.run(ctx, 'a', 3 + n, async () => n))
  await expect(queue.run(ctx, 'a', 9, async () => 0)).rejects.toMatchObject({ code: 'SESSION_BUSY', sent: 'no' })
  const told = expect(givenUp).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED', sent: 'no' })
  await clock.advance(100)
  await told
  const last = queue.run(ctx, 'a', 99, async () => 'last')
  first.end()
  await running
  expect(await Promise.all(others)).toHaveLength(WAITING_MAX - 1)
  expect(await last).toBe('last')
  await settle()
  expect([done, queue.size]).toEqual([['first'], 0])
})

test('EN1: work that fails gives its turn to the next', async () => {
  const queue = new SessionQueue()
  const failing = queue.run(ctx, 'a', 1, () => Promise.reject(new Error('no')))
  const next = queue.run(ctx, 'a', 2, async () => 'next')
  await expect(failing).rejects.toThrow('no')
  expect(await next).toBe('next')
  expect(queue.size).toBe(0)
})
