import { createSeededRandom, isRipstopError } from '@ripstop/kernel'
import type { Command } from '@ripstop/protocol/sessions'
import { expect, test } from 'vitest'
import { createRecordingLog } from '../testing/http.ts'
import { checkRace, type Told } from './checker.fixture.ts'
import { control, createBench, newSession, refOf, rulesOf, type TestBench, type TestProcess } from './engine.fixture.ts'
import { startTimeouts } from './timeouts.ts'

const COMMANDS: readonly Command[] = [
  { kind: 'switch' },
  { kind: 'switch' },
  { kind: 'switch', by: 0 },
  { kind: 'switch', by: 1 },
  { kind: 'pause' },
  { kind: 'resume' },
  { kind: 'resume' },
  { kind: 'adjust', place: 0, byMs: 200, reason: 'any' },
]
const FAULTS = ['none', 'none', 'none', 'none', 'answer lost', 'call lost', 'call late'] as const
const SESSIONS = 3

const pick = <T>(random: () => number, list: readonly T[]): T => list[Math.floor(random() * list.length)] as T

async function ask(
  bench: TestBench,
  { service }: TestProcess,
  n: number,
  operationId: string,
  command: Command,
): Promise<Told> {
  try {
    const { session, isRepeated } = await service.command(bench.ctx, refOf(n), command, bench.asked({ operationId }))
    return { operationId, outcome: 'done', version: isRepeated ? undefined : session.state.version }
  } catch (error) {
    if (!isRipstopError(error)) throw error
    return { operationId, outcome: error.sent === 'maybe' ? 'unknown' : 'refused' }
  }
}

test.each([1, 2, 3, 4, 5, 6, 7, 8])(
  'EN2, EN4, EN5, EN6, EN7, EN8, TO1: three processes, answers that get lost, outages, and clocks that fall (seed %i)',
  async (seed) => {
    const bench = createBench(seed)
    const random = createSeededRandom(seed)
    const sides = [bench.join(), bench.join(), bench.join()]
    const log = createRecordingLog()
    const timers = sides.map(({ store, service, authority }) =>
      startTimeouts({ env: bench.env, log, store, service, authority, leaseMs: 100 }),
    )
    const rules = rulesOf({ mode: 'per_cycle', onTimeout: 'skip_cycle' }, 2, control({ mainMs: 25 }))
    const first = sides[0] as TestProcess
    for (let n = 0; n < SESSIONS; n++) {
      await first.service.create(bench.ctx, newSession(refOf(n), rules), { actor: 'key:1', operationId: undefined })
      await first.service.command(bench.ctx, refOf(n), { kind: 'start' }, bench.asked())
    }
    const told = new Map<number, Promise<Told>[]>(Array.from({ length: SESSIONS }, (_, n) => [n, []]))
    const repeats: Promise<Told>[] = []
    for (let step = 0; step < 400; step++) {
      await bench.clock.advance(Math.floor(random() * 12))
      const side = pick(random, sides)
      const n = Math.floor(random() * SESSIONS)
      side.store.commitFault = pick(random, FAULTS)
      side.store.loadsLost = random() < 0.2 ? Math.floor(random() * 4) : 0
      const command = pick(random, COMMANDS)
      const telling = ask(bench, side, n, `op-${step}`, command)
      told.get(n)?.push(telling)
      if (random() < 0.2) repeats.push(ask(bench, pick(random, sides), n, `op-${step}`, command))
      if (random() < 0.3) for (const { store } of sides) await store.deliver()
      if (random() < 0.01) pick(random, sides).authority.begin(bench.nowMs() - 50, bench.nowMs())
    }
    await bench.passing(Promise.all([...told.values()].flat().concat(repeats)))
    for (const { store } of sides) {
      store.commitFault = 'none'
      await store.deliver()
    }
    await bench.clock.advance(500)
    await bench.passing(Promise.all(timers.map((timer) => timer[Symbol.asyncDispose]())))
    for (const [n, tellings] of told) {
      // A repetition beside the first may be the one that did it; and then the first was told the same.
      const all = (await Promise.all(tellings)).map(({ operationId, outcome }) => ({ operationId, outcome }))
      const isTwin = new Set((await Promise.all(repeats)).map(({ operationId }) => operationId))
      const { kinds, lateMs, problems } = await checkRace(
        bench.ctx,
        first.store,
        refOf(n),
        all.filter(({ operationId, outcome }) => outcome !== 'refused' || !isTwin.has(operationId)),
      )
      expect(problems).toEqual([])
      expect(Math.min(...lateMs)).toBeGreaterThanOrEqual(1)
      expect(kinds.switched).toBeGreaterThan(5)
      expect(kinds.expired).toBeGreaterThan(3)
    }
  },
)
