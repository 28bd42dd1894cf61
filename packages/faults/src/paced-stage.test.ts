import { createSeededRandom } from '@ripstop/kernel'
import { createFakeClock } from '@ripstop/kernel/testing'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { dial, startServer, until } from './loopback-peers.ts'
import { addPacedStage } from './paced-stage.ts'
import { startFaultProxy } from './proxy.ts'
import type { ConnectionPort, RunningToxic, Stage } from './stage.ts'
import { parseToxic, type ToxicSpec } from './toxics.ts'

/** The stage of `spec` on a clock of the test, with what came out of it and when. */
function createBench(spec: ToxicSpec, seed = 1) {
  const clock = createFakeClock()
  const startMs = clock.monoMs()
  const out: { readonly atMs: number; readonly text: string }[] = []
  const toxic: RunningToxic = { ...parseToxic(spec), seen: 0 }
  const note = (text: string): void => {
    out.push({ atMs: Math.round(clock.monoMs() - startMs), text })
  }
  let made: Stage | undefined
  const port: Pick<ConnectionPort, 'clock' | 'random' | 'addStage'> = {
    clock,
    random: createSeededRandom(seed),
    addStage: (_direction, make) => {
      made = make({ data: (chunk) => note(chunk.toString('latin1')), end: () => note('END') })
    },
  }
  addPacedStage(port as ConnectionPort, toxic)
  if (made === undefined) throw new Error('no stage')
  return { clock, stage: made, toxic, out, text: () => out.map(({ text }) => text).join('') }
}

describe('on a clock of the test', () => {
  test('latency delays every chunk and keeps the end behind them', async () => {
    const { clock, stage, out } = createBench({ type: 'latency', attributes: { latency: 100 } })
    stage.data(Buffer.from('a'))
    await clock.advance(30)
    stage.data(Buffer.from('b'))
    stage.end()
    await clock.advance(500)
    expect(out).toEqual([
      { atMs: 100, text: 'a' },
      { atMs: 130, text: 'b' },
      { atMs: 130, text: 'END' },
    ])
  })

  test('jitter varies the latency both ways, in its range, from the seed', async () => {
    const delays = async (seed: number): Promise<number[]> => {
      const bench = createBench({ type: 'latency', attributes: { latency: 100, jitter: 50 } }, seed)
      const result: number[] = []
      for (let index = 0; index < 40; index++) {
        bench.stage.data(Buffer.from('x'))
        const sentMs = index * 200
        await bench.clock.advance(200)
        result.push((bench.out.at(-1)?.atMs ?? Number.NaN) - sentMs)
      }
      return result
    }
    const first = await delays(3)
    expect(Math.min(...first)).toBeGreaterThanOrEqual(50)
    expect(Math.max(...first)).toBeLessThanOrEqual(151)
    expect(Math.min(...first)).toBeLessThan(80)
    expect(Math.max(...first)).toBeGreaterThan(120)
    expect(await delays(3)).toEqual(first)
    expect(await delays(4)).not.toEqual(first)
  })

  test('bandwidth lets a chunk through at its rate, in pieces of a tenth of a second', async () => {
    const { clock, stage, out } = createBench({ type: 'bandwidth', attributes: { rate: 1 } })
    stage.data(Buffer.alloc(250, 'x'))
    await clock.advance(1000)
    expect(out.map(({ atMs, text }) => [atMs, text.length])).toEqual([
      [100, 100],
      [200, 100],
      [250, 50],
    ])
  })

  test('slow_drip passes its bytes at its pace', async () => {
    const { clock, stage, out } = createBench({ type: 'slow_drip', attributes: { bytes: 2, every_ms: 50 } })
    stage.data(Buffer.from('abcde'))
    await clock.advance(500)
    expect(out).toEqual([
      { atMs: 0, text: 'ab' },
      { atMs: 50, text: 'cd' },
      { atMs: 100, text: 'e' },
    ])
  })

  test('slicer cuts into pieces of the average size, give or take, with its delay between', async () => {
    const { clock, stage, out } = createBench({
      type: 'slicer',
      attributes: { average_size: 10, size_variation: 4, delay: 20_000 },
    })
    stage.data(Buffer.alloc(200, 'x'))
    await clock.advance(10_000)
    const sizes = out.slice(0, -1).map(({ text }) => text.length)
    expect(Math.min(...sizes)).toBeGreaterThanOrEqual(6)
    expect(Math.max(...sizes)).toBeLessThanOrEqual(14)
    expect(new Set(sizes).size).toBeGreaterThan(2)
    expect(out.map(({ atMs }) => atMs)).toEqual(out.map((_piece, index) => index * 20))
  })

  test('an update counts for what is already held', async () => {
    const { clock, stage, out, toxic } = createBench({ type: 'latency', attributes: { latency: 60_000 } })
    stage.data(Buffer.from('a'))
    await clock.advance(40)
    toxic.attributes = { latency: 50, jitter: 0 }
    stage.updated()
    await clock.advance(10)
    expect(out).toEqual([{ atMs: 50, text: 'a' }])
    expect(clock.pending()).toBe(0)
  })

  test('a disposed stage lets go of its timer and its bytes', async () => {
    const { clock, stage, out } = createBench({ type: 'latency', attributes: { latency: 100 } })
    stage.data(Buffer.from('a'))
    expect(stage.heldBytes).toBeGreaterThan(0)
    stage.dispose()
    expect([stage.heldBytes, clock.pending()]).toEqual([0, 0])
    await clock.advance(1000)
    expect(out).toEqual([])
  })

  test('PS1, PS2: any pacing, healed at any moment, passes every byte once, in order, and nothing early', async () => {
    const spec = fc.constantFrom<ToxicSpec>(
      { type: 'latency', attributes: { latency: 40, jitter: 40 } },
      { type: 'bandwidth', attributes: { rate: 0.05 } },
      { type: 'bandwidth', attributes: { rate: 0 } },
      { type: 'slicer', attributes: { average_size: 3, size_variation: 5, delay: 7_000 } },
      { type: 'slow_drip', attributes: { bytes: 3, every_ms: 15 } },
    )
    const steps = fc.array(fc.oneof(fc.string({ maxLength: 20 }), fc.integer({ min: 1, max: 60 })), { maxLength: 12 })
    await fc.assert(
      fc.asyncProperty(spec, steps, async (chosen, script) => {
        const { clock, stage, text } = createBench(chosen)
        let sent = ''
        for (const step of script) {
          if (typeof step === 'number') await clock.advance(step)
          else if (step !== '') {
            const chunk = Buffer.from(step)
            sent += chunk.toString('latin1')
            stage.data(chunk)
            expect(sent.startsWith(text())).toBe(true)
          }
        }
        stage.end()
        stage.heal()
        expect(text()).toBe(`${sent}END`)
        expect([stage.heldBytes, clock.pending()]).toEqual([0, 0])
      }),
      { numRuns: 60 },
    )
  })
})

describe('on real sockets', () => {
  test('latency is seen by the client, on the stream that it is on', async () => {
    await using server = await startServer()
    await using proxy = await startFaultProxy({ upstream: server.address })
    const client = await dial(proxy)
    const roundTripMs = async (): Promise<number> => {
      const bytes = client.bytes()
      const startMs = performance.now()
      client.socket.write('x')
      await until(() => client.bytes() > bytes, 'answered')
      return performance.now() - startMs
    }
    await roundTripMs()
    await proxy.add({ type: 'latency', stream: 'upstream', attributes: { latency: 80 } })
    await proxy.add({ type: 'latency', stream: 'downstream', attributes: { latency: 60 } })
    expect(await roundTripMs()).toBeGreaterThan(135)
    await proxy.remove('latency_upstream')
    await proxy.remove('latency_downstream')
    expect(await roundTripMs()).toBeLessThan(135)
  })

  test('PS2: removing a latency passes on what it held, at once', async () => {
    await using server = await startServer()
    await using proxy = await startFaultProxy({ upstream: server.address })
    await proxy.add({ type: 'latency', attributes: { latency: 60_000 } })
    const client = await dial(proxy)
    client.socket.write('held')
    await until(() => proxy.stats().heldBytes > 0, 'the answer is held')
    expect(client.bytes()).toBe(0)
    await proxy.remove('latency_downstream')
    await until(() => client.text() === 'held', 'it came')
    expect(proxy.stats().heldBytes).toBe(0)
  })

  test('bandwidth holds a transfer down to its rate', async () => {
    await using server = await startServer(
      () => {},
      (socket) => socket.write(Buffer.alloc(40_000)),
    )
    await using proxy = await startFaultProxy({ upstream: server.address })
    await proxy.add({ type: 'bandwidth', attributes: { rate: 100 } })
    const startMs = performance.now()
    const client = await dial(proxy, false)
    await until(() => client.bytes() === 40_000, 'all of it')
    expect(performance.now() - startMs).toBeGreaterThan(300) // 400 ms at the rate
  })

  test('slicer and slow_drip deliver everything in small pieces', async () => {
    await using server = await startServer()
    await using proxy = await startFaultProxy({ upstream: server.address })
    // Far enough apart that a busy receiver does not read them as one.
    await proxy.add({ type: 'slicer', attributes: { average_size: 5, delay: 40_000 } })
    await proxy.add({ type: 'slow_drip', stream: 'upstream', attributes: { bytes: 9, every_ms: 80 } })
    const client = await dial(proxy)
    const text = 'the quick brown fox jumps over the lazy dog'
    client.socket.write(text)
    await until(() => client.text() === text, 'all of it')
    expect(client.chunks.length).toBeGreaterThan(3)
    expect(server.peers[0]?.chunks.length).toBeGreaterThan(3)
  })

  test('PI1: a client that does not read, behind a toxic that holds, stops the server at the bound', async () => {
    let refused = false
    const block = Buffer.alloc(65_536)
    const sent = { bytes: 0 }
    await using server = await startServer(
      () => {},
      (socket) => {
        const fill = (): void => {
          for (let index = 0; index < 400 && !refused; index++) {
            sent.bytes += block.length
            if (!socket.write(block)) return
          }
        }
        socket.on('drain', fill)
        fill()
      },
    )
    await using proxy = await startFaultProxy({ upstream: server.address })
    await proxy.add({ type: 'bandwidth', attributes: { rate: 0 } })
    const client = await dial(proxy, false)
    await until(() => proxy.stats().heldBytes >= 1_048_576, 'the proxy is full')
    const passedOn = sent.bytes
    for (let index = 0; index < 20; index++) await new Promise((resolve) => setImmediate(resolve))
    expect(proxy.stats().heldBytes).toBeLessThan(1_048_576 + 65_536 * 2)
    expect(client.bytes()).toBe(0)
    refused = true
    await proxy.remove('bandwidth_downstream')
    await until(() => client.bytes() >= passedOn, 'what was held came through')
    await until(() => client.bytes() === sent.bytes, 'every byte came through')
    expect(proxy.stats()).toMatchObject({ heldBytes: 0, droppedBytes: 0 })
  })
})
