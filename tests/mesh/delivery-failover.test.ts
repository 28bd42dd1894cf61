// Postgres fails over under load: the primary hangs or dies, its standby is promoted, and the mesh finds it by itself among the
// hosts of DATABASE_URL. With synchronous replication nothing acknowledged is lost; without it, what is lost is counted. Needs a
// Postgres of this machine that has pg_basebackup.

import { expect, test } from 'vitest'
import { countMissing } from '../delivery/checker.ts'
import { findTools, type Pair, startPair } from '../delivery/pair.ts'
import { type Flow, startFlow } from '../delivery/rig.ts'
import { tellOnFailure, until } from './harness.ts'

const SEED = 4_004
const RECOVER_MS = 60_000
const REPLICATION = ['synchronously', 'asynchronously'] as const

const tools = findTools()
if (tools === undefined)
  process.stderr.write(
    'SKIPPED: failover of Postgres: no initdb, postgres and pg_basebackup of one major from 15 to 18 here (Debian: apt-get install postgresql)\n',
  )

interface Stand extends AsyncDisposable {
  readonly pair: Pair
  readonly flow: Flow
}

async function startStand(how: (typeof REPLICATION)[number]): Promise<Stand> {
  if (tools === undefined) throw new Error('not skipped')
  await using starting = new AsyncDisposableStack()
  const pair = starting.use(await startPair(tools))
  await pair.replicate(how)
  let isPromoted = false
  const shopUrl = (): string => (isPromoted ? pair.standby.url : pair.primary.url)
  const flow = starting.use(await startFlow({ seed: SEED, isPair: false, meshUrl: pair.url, shopUrl }))
  await flow.recover(RECOVER_MS)
  const owned = starting.move()
  const promote = async (): Promise<void> => {
    await pair.promote()
    isPromoted = true
  }
  return { pair: { ...pair, promote }, flow, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

async function countEvents(node: Pair['primary']): Promise<number> {
  const [row] = await node.query<{ count: string }>('select count(*) from ripstop.events')
  return Number(row?.count)
}

async function untilPublished({ publishers }: Flow, more: number): Promise<void> {
  const wanted = publishers.ledger.length + more
  await until('more is published', () => publishers.ledger.length >= wanted, 30_000)
}

test.skipIf(tools === undefined)(
  'M1, L6: synchronous replication: the primary hangs, its standby takes over, and nothing acknowledged is lost; the old one is fenced when it thaws',
  async (context) => {
    await using stand = await startStand('synchronously')
    const { pair, flow } = stand
    tellOnFailure(context, flow.a)
    await untilPublished(flow, 100)
    await pair.primary.kill('SIGSTOP')
    await pair.promote()
    const recoveredMs = await flow.recover(RECOVER_MS)

    await pair.primary.kill('SIGCONT')
    const before = await countEvents(pair.primary)
    await untilPublished(flow, 100)
    expect(await countEvents(pair.primary), 'events that the old primary took').toBe(before)
    const write = pair.primary.query("insert into shop.orders (id) values ('from the past')", 1_500)
    await expect(write, 'a commit there waits for a standby that is none any more').rejects.toThrow(/timeout/)

    // As a failover manager does: it comes back as a standby, first among the hosts, and processes start anew.
    await pair.demote()
    await flow.killWork(flow.a)
    await flow.killEdge()
    const restartedMs = await flow.recover(RECOVER_MS)
    const { problems, ...counts } = await flow.settle()
    process.stdout.write(
      `synchronous failover: flowing ${recoveredMs.toFixed(0)} ms after the promotion, ${restartedMs.toFixed(0)} ms after new processes met a standby first; ${JSON.stringify(counts)}\n`,
    )
    expect(problems).toEqual([])
  },
  180_000,
)

test.skipIf(tools === undefined)(
  'M1: asynchronous replication: what the standby had not heard of is lost, counted, and nothing else is',
  async (context) => {
    await using stand = await startStand('asynchronously')
    const { pair, flow } = stand
    tellOnFailure(context, flow.a)
    await untilPublished(flow, 100)
    const { ledger } = flow.publishers
    await pair.replication.add({ type: 'black_hole', name: 'lag' })
    const from = ledger.length
    await untilPublished(flow, 50)
    await pair.primary.kill('SIGKILL')
    const acknowledged = ledger.length
    await pair.promote()
    const recoveredMs = await flow.recover(RECOVER_MS)

    const lackable = new Set(ledger.slice(from, acknowledged).map(({ id }) => id))
    const { problems, ...counts } = await flow.settle(lackable)
    const lost = (place: number, end: number): number =>
      flow.parties.reduce(
        (total, { receiver }) => total + countMissing({ ledger: ledger.slice(place, end) }, receiver),
        0,
      )
    process.stdout.write(
      `asynchronous failover: flowing ${recoveredMs.toFixed(0)} ms after the promotion; of ${acknowledged - from} events acknowledged ` +
        `while the standby heard nothing, ${lost(from, acknowledged)} deliveries of ${(acknowledged - from) * flow.parties.length} are lost; ${JSON.stringify(counts)}\n`,
    )
    expect(lost(0, from), 'what the standby had').toBe(0)
    expect(lost(acknowledged, ledger.length), 'what was published afterwards').toBe(0)
    // What was sent before its event was lost, and is published again, is another event: under another webhook-id.
    const harmless = /: lost: |deliveries are recorded as done|: applied more than once: /
    expect(problems.filter((problem) => !harmless.test(problem))).toEqual([])
  },
  240_000,
)
