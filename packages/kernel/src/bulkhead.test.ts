import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Bulkhead, type Waiter } from './bulkhead.ts'

interface Guest extends Waiter {
  readonly id: number
  state: 'waiting' | 'permitted' | 'displaced' | 'left'
  readonly heard: string[]
}

function createGuest(id: number, onPermit: () => void = () => {}): Guest {
  const guest: Guest = {
    id,
    state: 'waiting',
    heard: [],
    permitted: () => {
      guest.heard.push('permitted')
      guest.state = 'permitted'
      onPermit()
    },
    displaced: () => {
      guest.heard.push('displaced')
      guest.state = 'displaced'
    },
  }
  return guest
}

test('K1, K2: under any order of arrivals, releases and leavings it does as a naive model does', () => {
  const steps = fc.array(
    fc.oneof(
      fc.constant({ does: 'arrive' as const, pick: 0 }),
      fc.constant({ does: 'arrive' as const, pick: 0 }),
      fc.constant({ does: 'release' as const, pick: 0 }),
      fc.record({ does: fc.constant('leave' as const), pick: fc.nat(50) }),
    ),
    { maxLength: 120 },
  )
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 0, max: 4 }), steps, (concurrent, queue, script) => {
      const bulkhead = new Bulkhead({ concurrent, queue })
      let out = 0
      let model: Guest[] = [] // oldest first
      let nextId = 0
      for (const { does, pick } of script) {
        if (does === 'arrive') {
          const granted = bulkhead.tryAcquire()
          expect(granted).toBe(out < concurrent)
          if (granted) out++
          else {
            const guest = createGuest(nextId++)
            model.push(guest)
            const displaced = model.length > queue ? model.shift() : undefined
            bulkhead.enqueue(guest)
            if (displaced !== undefined) expect(displaced.state).toBe('displaced')
          }
        } else if (does === 'release' && out > 0) {
          const newest = model.pop()
          bulkhead.release()
          if (newest === undefined) out--
          else expect(newest.heard).toEqual(['permitted'])
        } else if (does === 'leave' && model.length > 0) {
          const guest = model[pick % model.length] as Guest
          model = model.filter((other) => other !== guest)
          bulkhead.leave(guest)
          bulkhead.leave(guest)
        }
        expect(bulkhead.inUse).toBe(out)
        expect(bulkhead.inUse).toBeLessThanOrEqual(concurrent)
        expect(bulkhead.waiting).toBe(model.length)
        expect(bulkhead.waiting).toBeLessThanOrEqual(queue)
        for (const guest of model) expect(guest.heard).toEqual([])
      }
    }),
  )
})

test('the newest waiter is served first, the oldest is turned away when the queue is full', () => {
  const bulkhead = new Bulkhead({ concurrent: 1, queue: 2 })
  bulkhead.tryAcquire()
  const guests = [createGuest(1), createGuest(2), createGuest(3)]
  for (const guest of guests) bulkhead.enqueue(guest)
  expect(guests.map((guest) => guest.state)).toEqual(['displaced', 'waiting', 'waiting'])
  bulkhead.release()
  expect(guests.map((guest) => guest.state)).toEqual(['displaced', 'waiting', 'permitted'])
})

test('K1: ten thousand waiters that give their permit back at once are served without deep recursion', () => {
  const bulkhead = new Bulkhead({ concurrent: 1, queue: 10_000 })
  bulkhead.tryAcquire()
  let depth = 0
  let deepest = 0
  const guests = Array.from({ length: 10_000 }, (_, id) =>
    createGuest(id, () => {
      depth++
      deepest = Math.max(deepest, depth)
      expect(bulkhead.inUse).toBe(1)
      bulkhead.release()
      depth--
    }),
  )
  for (const guest of guests) bulkhead.enqueue(guest)
  bulkhead.release()
  expect(guests.every((guest) => guest.heard.join() === 'permitted')).toBe(true)
  expect(guests.at(0)?.state).toBe('permitted')
  expect(deepest).toBe(1)
  expect([bulkhead.inUse, bulkhead.waiting]).toEqual([0, 0])
})

test('K1: while places are handed over nobody overtakes those who wait', () => {
  const bulkhead = new Bulkhead({ concurrent: 2, queue: 10 })
  bulkhead.tryAcquire()
  bulkhead.tryAcquire()
  const oldest = createGuest(1)
  const overtaking: boolean[] = []
  const greedy = createGuest(2, () => {
    bulkhead.release()
    overtaking.push(bulkhead.tryAcquire())
  })
  bulkhead.enqueue(oldest)
  bulkhead.enqueue(greedy)
  bulkhead.release()
  expect(overtaking).toEqual([false])
  expect(oldest.state).toBe('permitted')
  expect([bulkhead.inUse, bulkhead.waiting]).toEqual([2, 0])
})

test('K1: a waiter that throws leaves nobody stuck: the next permit given back serves those who still wait', () => {
  const bulkhead = new Bulkhead({ concurrent: 1, queue: 10 })
  bulkhead.tryAcquire()
  const patient = createGuest(1)
  bulkhead.enqueue(patient)
  bulkhead.enqueue(
    createGuest(2, () => {
      bulkhead.release()
      throw new Error('a defect of a waiter')
    }),
  )
  expect(() => bulkhead.release()).toThrow('a defect')
  expect(bulkhead.inUse).toBe(0)
  expect(bulkhead.tryAcquire()).toBe(true)
  bulkhead.release()
  expect(patient.state).toBe('permitted')
  expect([bulkhead.inUse, bulkhead.waiting]).toEqual([1, 0])
})

// Documented behaviour of cockatiel's bulkhead(limit, queue), as vectors: how many of n calls run, wait and are refused.
test.each([
  { concurrent: 2, queue: 0, calls: 4, run: 2, wait: 0, refused: 2 },
  { concurrent: 2, queue: 2, calls: 4, run: 2, wait: 2, refused: 0 },
  { concurrent: 2, queue: 2, calls: 5, run: 2, wait: 2, refused: 1 },
  { concurrent: 1, queue: 3, calls: 1, run: 1, wait: 0, refused: 0 },
])(
  'differential: limit $concurrent, queue $queue, $calls calls at once',
  ({ concurrent, queue, calls, run, wait, refused }) => {
    const bulkhead = new Bulkhead({ concurrent, queue })
    const guests = Array.from({ length: calls }, (_, id) => createGuest(id))
    let running = 0
    for (const guest of guests) {
      if (bulkhead.tryAcquire()) {
        running++
        guest.state = 'permitted'
      } else bulkhead.enqueue(guest)
    }
    const count = (state: Guest['state']) => guests.filter((guest) => guest.state === state).length
    expect([running, count('waiting'), count('displaced')]).toEqual([run, wait, refused])
  },
)
