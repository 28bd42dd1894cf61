import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createEntry, decodeBody, encodeBody, hashOf, type LogEntry, NO_HEAD, readLine } from '#session-log'
import { idOf, verifyChain } from './conformance-writing.fixture.ts'
import { foldEntries } from './fold.ts'
import { type Game, moves, playChess, playGame, setups } from './game.fixture.ts'
import type { StoredSession } from './store.ts'

const REF = { tenantId: idOf(101), sessionId: idOf(1) }
const games = fc.tuple(setups, moves).map(([setup, played]): Game => playGame(REF, setup, played))
/** As a place of a list that has at least one. */
const at = <T>(list: readonly T[], share: number): number => Math.min(list.length - 1, Math.floor(share * list.length))
const share = fc.double({ min: 0, max: 1, noNaN: true })

describe('bodies', () => {
  test('SB1: what was written is read as it was, with and without what is known of the session', () => {
    fc.assert(
      fc.property(setups, moves, share, (setup, played, place) => {
        const { sessions } = playGame(REF, setup, played)
        const { body } = sessions[at(sessions, place)] as StoredSession
        const read = decodeBody(body)
        expect(read.state.rules).toEqual(setup.rules)
        expect(JSON.stringify(read.metadata)).toBe(JSON.stringify(setup.metadata))
        expect(read.timeoutEvent).toBe(setup.timeoutEvent)
        const known = decodeBody((sessions[0] as StoredSession).body)
        expect(decodeBody(body, known)).toEqual(read)
        for (const kept of [read, { ...read, fixed: undefined }]) expect(encodeBody(kept)).toBe(body)
        expect(() => JSON.parse(body)).not.toThrow()
      }),
    )
  })

  test('SB1: what is known of another session is not taken for its own', () => {
    const [one, other] = [playChess(REF, 4), playGame(REF, { ...fc.sample(setups, 1)[0] } as never, [])]
    const known = decodeBody((other.sessions[0] as StoredSession).body)
    const { body } = one.sessions.at(-1) as StoredSession
    expect(decodeBody(body, known)).toEqual(decodeBody(body))
  })
})

describe('folding', () => {
  test('SB2: in however many pieces a log is folded, bodies and operations are those of whoever made the entries', () => {
    fc.assert(
      fc.property(games, fc.array(share, { maxLength: 4 }), ({ sessions, entries, operations }, cuts) => {
        const stops = [...cuts.map((cut) => at(entries, cut)), entries.length - 1].toSorted((one, other) => one - other)
        let body: string | undefined
        let begin = 0
        const found: unknown[] = []
        for (const stop of stops) {
          const piece = entries.slice(begin, stop + 1)
          const folded = foldEntries(body === undefined ? undefined : decodeBody(body), piece)
          const stands = sessions[stop] as StoredSession
          expect([folded?.version, folded?.head]).toEqual([stands.version, stands.head])
          body = folded && encodeBody(folded.body)
          expect(body).toBe(stands.body)
          found.push(...(folded?.operations ?? []))
          begin = stop
        }
        expect(found).toEqual(operations)
      }),
    )
  })

  test('SB3: a log with an entry left out, changed, doubled or in another place is not folded', () => {
    const { entries, sessions } = playChess(REF, 12)
    const later = decodeBody((sessions[5] as StoredSession).body)
    const spoil = (list: readonly LogEntry[], place: number): readonly (readonly LogEntry[])[] => {
      const entry = list[place] as LogEntry
      const text = entry.text.replace('900', '901')
      return [
        list.toSpliced(place, 1),
        list.toSpliced(place, 0, entry),
        list.with(place, { ...entry, text }),
        list.with(place, { ...entry, hash: hashOf((list[place - 1] as LogEntry).hash, text), text }),
        list.with(place, list[place + 1] as LogEntry).with(place + 1, entry),
      ]
    }
    for (let place = 2; place < entries.length - 1; place++) {
      for (const spoiled of spoil(entries, place)) expect(foldEntries(undefined, spoiled)).toBeUndefined()
    }
    expect(foldEntries(later, entries.slice(5))).toBeDefined()
    for (const wrong of [entries, entries.slice(4), entries.slice(6), entries.slice(6, 7), []])
      expect(foldEntries(later, wrong)).toBeUndefined()
    expect(foldEntries(undefined, entries.slice(1))).toBeUndefined()
    expect(foldEntries(undefined, [])).toBeUndefined()
  })
})

test('CH1: a hash covers the text and all that was before it, beginning with zeros', () => {
  const line = { epoch: 1, event: { kind: 'paused', version: 1, atMs: 5 }, actor: 'open', decidedMs: 6 } as const
  const first = createEntry(NO_HEAD, line, '{"type":"a"}')
  expect(NO_HEAD).toBe('0'.repeat(64))
  // Reckoned with sha256sum.
  expect(hashOf(NO_HEAD, 'a')).toBe('2e04306c2c1c72c0567b0630f213452ce913cee8d0772efd39e5699ed22aa637')
  expect(first.hash).toBe(hashOf(NO_HEAD, first.text))
  expect([first.version, first.epoch, first.publish]).toEqual([1, 1, '{"type":"a"}'])
  expect(readLine(first)).toEqual(line)
  const { entries } = playChess(REF, 5)
  expect(verifyChain(entries)).toBe(entries.at(-1)?.hash)
  for (let place = 0; place < entries.length; place++) {
    const entry = entries[place] as LogEntry
    expect(verifyChain(entries.with(place, { ...entry, text: entry.text.replace('"', ' "') }))).toBeUndefined()
  }
})
