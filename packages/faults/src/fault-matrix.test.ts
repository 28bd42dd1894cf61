import { connect, type Socket } from 'node:net'
import { describe, expect, test } from 'vitest'
import { type Census, startCensus } from './census.ts'
import { type Fault, type FaultCell, renderFaultMatrix, runFaultMatrix } from './fault-matrix.ts'
import { startServer } from './loopback-peers.ts'
import { portAccepts, startProcess } from './process-faults.ts'
import { startFaultProxy } from './proxy.ts'
import type { RecoverableLink, RecoverableSnapshot } from './recovery-checker.ts'
import { createProcessFaults, createProxyFaults } from './standard-faults.ts'

const ANSWER_MS = 150

/**
 * A client of an echo server that reconnects. A careful one takes silence for death: its calls have a deadline, and
 * one that misses it replaces the connection. A careless one trusts its socket, as most drivers do by default.
 */
class EchoLink implements RecoverableLink {
  readonly name: string
  readonly #port: number
  readonly #careful: boolean
  #socket: Socket | undefined
  #retry: NodeJS.Timeout | undefined
  #generation = 0
  #lastProofMonoMs: number | undefined
  #closed = false
  readonly #calls: { readonly bornMs: number; readonly settle: (error?: Error) => void }[] = []

  constructor(name: string, port: number, careful: boolean) {
    this.name = name
    this.#port = port
    this.#careful = careful
    this.#connect()
  }

  #connect(): void {
    const socket = connect({ host: '127.0.0.1', port: this.#port })
    this.#socket = socket
    this.#generation++
    socket.on('connect', () => this.call().catch(() => {})) // the probe
    socket.on('data', (chunk) => {
      this.#lastProofMonoMs = performance.now()
      for (let index = 0; index < chunk.length; index++) this.#calls.shift()?.settle()
    })
    socket.on('error', () => {}) // `close` follows
    socket.on('close', () => {
      for (const { settle } of this.#calls.splice(0)) settle(new Error('lost'))
      if (!this.#closed) this.#retry = setTimeout(() => this.#connect(), 30)
    })
  }

  call(): Promise<void> {
    return new Promise((resolve, reject) => {
      const socket = this.#socket
      const deadline = this.#careful ? setTimeout(() => socket?.destroy(), ANSWER_MS) : undefined
      const settle = (error?: Error): void => {
        clearTimeout(deadline)
        if (error === undefined) resolve()
        else reject(error)
      }
      if (socket === undefined || socket.destroyed) return settle(new Error('down'))
      this.#calls.push({ bornMs: performance.now(), settle })
      socket.write('x')
    })
  }

  snapshot(): RecoverableSnapshot {
    const oldest = this.#calls[0]
    return {
      state: this.#socket?.readyState === 'open' ? 'up' : 'connecting',
      generation: this.#generation,
      lastProofMonoMs: this.#lastProofMonoMs,
      inFlight: this.#calls.length,
      waiting: 0,
      oldestOverdueMs: oldest === undefined ? 0 : performance.now() - oldest.bornMs - ANSWER_MS,
      breaker: 'none',
      recoverWithinMs: 1_500,
    }
  }

  [Symbol.dispose](): void {
    this.#closed = true
    clearTimeout(this.#retry)
    this.#socket?.destroy()
  }
}

async function runMatrix(careful: boolean, census: Census, chosen?: readonly string[]): Promise<readonly FaultCell[]> {
  await using server = await startServer()
  await using first = await startFaultProxy({ upstream: server.address, name: 'first' })
  await using second = await startFaultProxy({ upstream: server.address, name: 'second' })
  using one = new EchoLink('first', first.port, careful)
  using two = new EchoLink('second', second.port, careful)
  const links = [one, two]
  // Traffic during the fault: silence shows only to those who ask.
  const load = setInterval(() => {
    for (const link of links) link.call().catch(() => {})
  }, 20)
  const faults = createProxyFaults<EchoLink>((link) => (link === one ? first : second))
  try {
    return await runFaultMatrix({
      faults: faults.filter(({ name }) => chosen?.includes(name) ?? true),
      links,
      census,
      canary: (link) => link.call(),
      holdMs: 250,
      within: careful ? 1_500 : 400,
      seed: 5,
    })
  } finally {
    clearInterval(load)
  }
}

describe('on real sockets, with the standard faults', () => {
  test('a link that takes silence for death recovers from all of them, and no other link feels it', async () => {
    using census = startCensus()
    const cells = await runMatrix(true, census)
    expect(cells.map(({ fault, link }) => `${fault} ${link}`)).toEqual(
      ['refuse', 'reset', 'accept_then_fin', 'die_in_handshake', 'half_open', 'black_hole'].flatMap((fault) => [
        `${fault} first`,
        `${fault} second`,
      ]),
    )
    expect(cells.filter(({ recovered }) => !recovered)).toEqual([])
    expect(renderFaultMatrix(cells)).toContain('12 of 12 recovered (seed 5).')
    expect(census.report().sockets).toEqual([])
  })

  test('a link that trusts its socket is found out by the silent faults, and by those alone', async () => {
    using census = startCensus()
    // One matrix each: what a silent fault leaves hanging would blur the next cell.
    const cells: FaultCell[] = []
    for (const fault of ['reset', 'half_open', 'black_hole', 'die_in_handshake']) {
      cells.push(...(await runMatrix(false, census, [fault])))
    }
    const torn = cells.filter(({ verdict }) => !verdict.recovered)
    expect([...new Set(torn.map(({ fault }) => fault))].sort()).toEqual(['black_hole', 'half_open'])
    expect(torn[0]?.verdict.reasons).toEqual(
      expect.arrayContaining(['the canary has not answered', expect.stringContaining('past its deadline')]),
    )
  })

  test('kill and stop of the real process behind a link', async () => {
    const program = `require('node:net').createServer((s) => s.on('error', () => {}).pipe(s)).listen(Number(process.argv[1]), '127.0.0.1')`
    await using probe = await startServer()
    const { port } = probe.address
    await probe[Symbol.asyncDispose]()
    await using peer = await startProcess({
      command: process.execPath,
      args: ['-e', program, String(port)],
      ready: () => portAccepts(port),
    })
    using link = new EchoLink('echo', port, true)
    const cells = await runFaultMatrix({
      faults: createProcessFaults(() => peer),
      links: [link],
      canary: () => link.call(),
      holdMs: 200,
    })
    expect(cells.map(({ fault, recovered }) => [fault, recovered])).toEqual([
      ['kill', true],
      ['stop', true],
    ])
  })
})

describe('on links of the test', () => {
  const healthy = (name: string): RecoverableLink => ({
    name,
    snapshot: () => ({
      state: 'up',
      generation: 1,
      lastProofMonoMs: performance.now(),
      inFlight: 0,
      waiting: 0,
      oldestOverdueMs: 0,
      breaker: 'closed',
      recoverWithinMs: 60,
    }),
  })

  test('FM1: a fault whose injection fails is healed all the same, and a fault that is not healed is a problem', async () => {
    const healed: string[] = []
    const faults: Fault[] = [
      {
        name: 'clumsy',
        inject: () => {
          throw new Error('no such toxic')
        },
        heal: ({ name }) => healed.push(name),
      },
      { name: 'stuck', inject: () => {}, heal: () => Promise.reject(new Error('port taken')) },
    ]
    const cells = await runFaultMatrix({ faults, links: [healthy('a')], holdMs: 1 })
    expect(healed).toEqual(['a'])
    expect(cells).toMatchObject([
      { fault: 'clumsy', recovered: false, problems: ['inject failed: no such toxic'], verdict: { recovered: true } },
      { fault: 'stuck', recovered: false, problems: ['heal failed: port taken'] },
    ])
  })

  test('FM2: a cell is torn if a bystander is, and the table says which and why', async () => {
    let broken = false
    const bystander: RecoverableLink = {
      name: 'b|c',
      snapshot: () => ({ ...healthy('b').snapshot(), breaker: broken ? 'open' : 'closed' }),
    }
    const fault: Fault = {
      name: 'splash',
      inject: (link) => {
        broken = link.name === 'a'
      },
      heal: () => {},
    }
    const seen: string[] = []
    const cells = await runFaultMatrix({
      faults: [fault],
      links: [healthy('a'), bystander],
      holdMs: 1,
      seed: 9,
      onCell: ({ link }) => seen.push(link),
    })
    expect(cells.map(({ recovered, verdict }) => [recovered, verdict.recovered])).toEqual([
      [false, true],
      [true, true],
    ])
    expect(seen.sort()).toEqual(['a', 'b|c'])
    expect(renderFaultMatrix(cells)).toBe(
      [
        '| fault | a | b\\|c |',
        '|---|---|---|',
        `| splash | **no** | ${cells[1]?.verdict.recoveredMs} ms |`,
        '',
        '1 of 2 recovered (seed 9).',
        '- splash on a: b|c: its breaker is open',
        '',
      ].join('\n'),
    )
  })
})
