import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { EventRing } from './event-ring.ts'

const eventOf = (number: number) =>
  ({ type: 'breaker', at: '2026-11-21T12:00:00.000Z', process: 'edge', link: `link-${number}`, to: 'open' }) as const
const links = (entries: ReturnType<EventRing['after']>) => entries?.map(({ event }) => event.link)

describe('the ring of events', () => {
  test('HR1: whoever resumes gets every later event once and in order, or is told that some are lost', () => {
    const steps = fc.array(fc.oneof(fc.constant('add'), fc.nat({ max: 60 })), { maxLength: 120 })
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 10 }), steps, (kept, given) => {
        const ring = new EventRing('boot', kept)
        const ids = [ring.lastId]
        for (const step of given) {
          if (step === 'add') {
            ring.add(eventOf(ids.length))
            ids.push(ring.lastId)
            continue
          }
          const seen = step % ids.length
          const missed = ids.length - 1 - seen
          const expected = Array.from({ length: missed }, (_, index) => `link-${seen + 1 + index}`)
          expect(links(ring.after(ids[seen] ?? ''))).toEqual(missed > kept ? undefined : expected)
        }
      }),
    )
  })

  test('HR1: an id of another boot, of the future or of nobody says that some are lost', () => {
    const ring = new EventRing('boot')
    ring.add(eventOf(1))
    for (const id of ['other.1', 'boot.2', 'boot.-1', 'boot.x', 'boot', '']) {
      expect(ring.after(id), id).toBeUndefined()
    }
  })

  test('HR2: listeners hear what is added until they leave', () => {
    const ring = new EventRing('boot', 2)
    const heard: string[] = []
    const leave = ring.listen(({ id }) => heard.push(id))
    for (const number of [1, 2, 3]) ring.add(eventOf(number))
    leave()
    ring.add(eventOf(4))
    expect(heard).toEqual(['boot.1', 'boot.2', 'boot.3'])
    expect(links(ring.after('boot.2'))).toEqual(['link-3', 'link-4'])
    expect(ring.after('boot.1')).toBeUndefined()
  })
})
