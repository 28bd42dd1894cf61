// What proves delivery must itself be proved: the checker finds every kind of fault, and the receiver commits each of its own.

import { createHmac, randomUUID } from 'node:crypto'
import { createSeededRandom } from '@ripstop/kernel'
import { Agent, request } from 'undici'
import { expect, test } from 'vitest'
import { findProblems, type Party } from './checker.ts'
import type { Entry } from './publishers.ts'
import { BEHAVIOURS, type Behaviour, type Receiver, startReceiver } from './receiver.ts'

const SECRET = Buffer.from('0123456789abcdef0123456789abcdef')

async function startTrusting(): Promise<Receiver> {
  const receiver = await startReceiver({ name: 'shop', random: createSeededRandom(1), deadlineMs: 200 })
  receiver.trust(`whsec_${SECRET.toString('base64')}`)
  return receiver
}

interface Message {
  readonly messageId?: string
  readonly id?: string
  readonly key?: string
  readonly seq?: number
  readonly secret?: Buffer
}

/** The status; 0: there was no whole answer in time. */
async function send(receiver: Receiver, message: Message = {}): Promise<number> {
  const { messageId = randomUUID(), id = randomUUID(), key = 'k', seq = 1, secret = SECRET } = message
  const body = JSON.stringify({ id, partitionkey: key, data: { seq } })
  const timestamp = Math.floor(Date.now() / 1_000)
  const signature = createHmac('sha256', secret).update(`${messageId}.${timestamp}.${body}`).digest('base64')
  const dispatcher = new Agent({ connections: 1 })
  try {
    const response = await request(receiver.url, {
      dispatcher,
      method: 'POST',
      body,
      headers: {
        'webhook-id': messageId,
        'idempotency-key': messageId,
        'x-idempotency-key': messageId,
        'webhook-timestamp': String(timestamp),
        'webhook-signature': `v1a,none v1,${signature}`,
      },
      signal: AbortSignal.timeout(200),
    })
    await response.body.text()
    return response.statusCode
  } catch {
    return 0
  } finally {
    await dispatcher.destroy()
  }
}

function entry(id: string, key = 'k', seq = 1): Entry {
  return { channel: 'http', id, key, seq, ackMs: 0 }
}

function problemsOf(receiver: Receiver, ledger: readonly Entry[], rolledBack: readonly string[] = []): string[] {
  const party: Party = { receiver, isOrdered: true }
  return findProblems({ ledger, rolledBack: new Set(rolledBack) }, party)
}

test('M1, M2: the checker names what is lost, applied twice, out of order, rolled back or made up', async () => {
  await using receiver = await startTrusting()
  await send(receiver, { id: 'a1', seq: 1 })
  await send(receiver, { id: 'a2', seq: 2 })
  const ledger = [entry('a1', 'k', 1), entry('a2', 'k', 2)]
  expect(problemsOf(receiver, ledger)).toEqual([])
  expect(problemsOf(receiver, [...ledger, entry('a3')])).toEqual(['shop: lost: 1: a3'])
  expect(problemsOf(receiver, ledger.slice(0, 1))).toEqual(['shop: applied and in no ledger: 1: a2'])
  expect(problemsOf(receiver, ledger.slice(0, 1), ['a2'])).toEqual(['shop: applied though it was rolled back: 1: a2'])
  await send(receiver, { id: 'a0', seq: 0 })
  expect(problemsOf(receiver, [...ledger, entry('a0', 'k', 0)])).toEqual(['shop: out of order: 1: a0 after 2'])
  await send(receiver, { id: 'a2', seq: 2 }) // under another webhook-id
  expect(problemsOf(receiver, [...ledger, entry('a0', 'k', 3)])).toContain('shop: applied more than once: 1: a2')
})

test('M2: a repetition under the same webhook-id is received and not applied', async () => {
  await using receiver = await startTrusting()
  await send(receiver, { messageId: 'one', id: 'a1' })
  await send(receiver, { messageId: 'one', id: 'a1' })
  expect([receiver.received(), receiver.applied.length]).toEqual([2, 1])
})

test('M8: a message with another signature is a violation, and is not applied', async () => {
  await using receiver = await startTrusting()
  expect(await send(receiver, { messageId: 'forged', secret: Buffer.alloc(32) })).toBe(400)
  expect([receiver.violations, receiver.applied]).toEqual([['shop: a bad signature on forged'], []])
})

const EXPECTED: Readonly<
  Record<Exclude<Behaviour, 'breaks 30 %'>, { readonly status: number; readonly applied: number }>
> = {
  well: { status: 200, applied: 1 },
  fails: { status: 500, applied: 0 },
  closes: { status: 0, applied: 0 },
  'cuts the request': { status: 0, applied: 0 },
  'cuts the answer': { status: 0, applied: 1 },
  'answers late': { status: 0, applied: 1 },
  drips: { status: 0, applied: 1 },
  'answers twice': { status: 200, applied: 1 },
  'answers out of order': { status: 200, applied: 1 },
}

test.each(BEHAVIOURS.filter((behaviour) => behaviour !== 'breaks 30 %'))(
  'M2: a receiver that is told so %s',
  async (behaviour) => {
    await using receiver = await startTrusting()
    receiver.behave(behaviour)
    const status = await send(receiver)
    expect({ status, applied: receiver.applied.length }).toEqual(EXPECTED[behaviour])
  },
)

test('M2: about 30 % of connections break when it is told so', async () => {
  await using receiver = await startTrusting()
  receiver.behave('breaks 30 %')
  let broken = 0
  for (let sent = 0; sent < 200; sent++) if ((await send(receiver)) !== 200) broken++
  expect(broken).toBeGreaterThan(40)
  expect(broken).toBeLessThan(80)
})
