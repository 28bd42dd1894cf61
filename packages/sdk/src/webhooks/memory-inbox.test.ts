import { expect, test } from 'vitest'
import { createMemoryInbox } from './memory-inbox.ts'

const nothing = async (): Promise<void> => {}

test('SK7: of many at once one is applied, and the others wait for it', async () => {
  const inbox = createMemoryInbox()
  const { promise: mayEnd, resolve: end } = Promise.withResolvers<void>()
  let runs = 0
  const answers = Array.from({ length: 50 }, () =>
    inbox.once('a', async () => {
      runs++
      await mayEnd
    }),
  )
  end()
  expect((await Promise.all(answers)).filter((said) => said === 'applied')).toHaveLength(1)
  expect(runs).toBe(1)
  expect(await inbox.once('a', nothing)).toBe('duplicate')
})

test('SK7: of many at once the next is applied if the first fails; a failure is not kept', async () => {
  const inbox = createMemoryInbox()
  let runs = 0
  const fail = (times: number) => async () => {
    if (++runs <= times) throw new Error(`run ${runs}`)
  }
  const effect = fail(2)
  const said = await Promise.allSettled(Array.from({ length: 5 }, () => inbox.once('a', effect)))
  expect(said.map((each) => (each.status === 'fulfilled' ? each.value : 'failed')).sort()).toEqual([
    'applied',
    'duplicate',
    'duplicate',
    'failed',
    'failed',
  ])
  expect(runs).toBe(3)
  const throws = (): Promise<void> => {
    throw new Error('at once')
  }
  await expect(inbox.once('b', throws)).rejects.toThrow('at once')
  expect(await inbox.once('b', nothing)).toBe('applied')
})

test('SK8: at the bound the oldest is forgotten and counted; where everything is under way nothing more is taken', async () => {
  const inbox = createMemoryInbox({ max: 2 })
  for (const id of ['a', 'b', 'c']) await inbox.once(id, nothing)
  expect([inbox.size, inbox.forgotten]).toEqual([2, 1])
  expect(await inbox.once('c', nothing)).toBe('duplicate')
  expect(await inbox.once('a', nothing)).toBe('applied')
  const { promise: mayEnd, resolve: end } = Promise.withResolvers<void>()
  const under = ['d', 'e'].map((id) => inbox.once(id, () => mayEnd))
  expect(inbox.size).toBe(0)
  await expect(inbox.once('f', nothing)).rejects.toMatchObject({ code: 'INBOX_FULL', http: 503 })
  end()
  expect(await Promise.all(under)).toEqual(['applied', 'applied'])
  expect(inbox.size).toBe(2)
  expect(() => createMemoryInbox({ max: 0 })).toThrow('max')
})
