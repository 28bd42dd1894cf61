import { expect, test } from 'vitest'
import { foundIn } from '../found.fixture.ts'
import { dualWrite } from './dual-write.ts'
import { messageLossAck } from './message-loss-ack.ts'

const HANDLES =
  "import { Controller } from '@nestjs/common'\nimport { EventPattern, MessagePattern } from '@nestjs/microservices'\n@Controller()\nexport class Bills { @EventPattern('paid') async paid(x) { await this.bills.save(x) } }\n"
const server = (more: string, transport = 'RMQ'): string =>
  `import { NestFactory } from '@nestjs/core'\nimport { Transport } from '@nestjs/microservices'\nconst app = await NestFactory.createMicroservice(Root, { transport: Transport.${transport}, options: { urls: [u], queue: 'bills'${more} } })\n`

test.each([
  [server(''), HANDLES, ['strong src/main.ts:3']],
  [server(', noAck: false'), HANDLES, []],
  [server(', ...shared'), HANDLES, []],
  [server('', 'REDIS'), HANDLES, []],
  // Whoever asks waits for the answer, and is told.
  [server(''), HANDLES.replace("@EventPattern('paid')", "@MessagePattern('paid')"), []],
])('QV3: a server of Nest: %j with %j has %j', (source, handles, expected) => {
  expect(foundIn(messageLossAck, { 'src/main.ts': source, 'src/bills.ts': handles })).toEqual(expected)
})

const TAKES = (body: string): string =>
  `import { save } from './store'\nasync function take(channel, m) {\n${body}\n}\n`

test.each([
  ['  save(m)\n  channel.ack(m)', ['strong src/a.ts:3']],
  ['  await save(m)\n  channel.ack(m)', []],
  ['  const saving = save(m)\n  await saving\n  channel.ack(m)', []],
  ['  console.log(m)\n  channel.ack(m)', []],
  ['  note(m)\n  channel.ack(m)', []],
])('QV4: work that nobody waits for, and an acknowledgement: %j has %j', (body, expected) => {
  const store = 'export async function save(m) { await db.insert(m) }\n'
  expect(foundIn(messageLossAck, { 'src/a.ts': TAKES(body), 'src/store.ts': store })).toEqual(expected)
})

const HOOK = (body: string, path = '/webhooks/bank'): string =>
  `import express from 'express'\nconst app = express()\napp.post('${path}', async (req, res) => {\n${body}\n})\n`

test.each([
  [HOOK('  res.status(202).json({ ok: true })\n  await Payment.create(req.body)'), ['strong 4']],
  [HOOK('  res.sendStatus(200)\n  await processPayment(req.body)'), ['strong 4']],
  [HOOK('  await Payment.create(req.body)\n  res.sendStatus(200)'), []],
  [HOOK('  await queue.add(req.body)\n  res.sendStatus(200)\n  await sendMail(req.body)'), []],
  [HOOK('  if (!req.body) { res.status(200).end(); return }\n  await Payment.create(req.body)'), []],
  [HOOK('  res.status(400).end()\n  await saveRefused(req.body)'), []],
  [HOOK('  res.sendStatus(200)\n  await Payment.create(req.body)', '/payments'), []],
])('QV5: a webhook that is answered first: %j has %j', (source, expected) => {
  expect(foundIn(messageLossAck, { 'src/a.ts': source })).toEqual(expected)
})

test('QV5: a webhook that is left to an emitter of the process', () => {
  const hook = (type: string): string =>
    `import { Controller, Post, Res } from '@nestjs/common'\nimport { EventEmitter } from 'events'\nclass Hooks extends EventEmitter {}\nclass Told { emit(name, body) {} }\n@Controller('webhook')\nexport class HookController {\n  constructor(private readonly hooks: ${type}) {}\n  @Post()\n  async take(body, @Res() res) {\n    this.hooks.emit('paid', body)\n    res.sendStatus(200)\n  }\n}\n`
  expect(foundIn(messageLossAck, { 'src/a.ts': hook('Hooks') })).toEqual(['strong 10'])
  expect(foundIn(messageLossAck, { 'src/a.ts': hook('Told') })).toEqual([])
})

const ROUND = (body: string): string =>
  `import * as store from './store'\nasync function round() {\n  for (const id of await store.due()) {\n${body}\n  }\n}\n`

test.each([
  ['    await store.removeFromRetryQueue(id)\n    await deliver(id)', ['strong src/a.js:4']],
  ['    await deliver(id)\n    await store.removeFromRetryQueue(id)', []],
  ['    const mine = await store.removeFromRetryQueue(id)\n    if (mine) await deliver(id)', []],
  ['    await store.removeFromRetryQueue(id)\n    console.log(id)', []],
  ['    await store.removeFromRetryQueue(id)\n    await tidy()', []],
])('QV6: an entry that is struck off a list of work first: %j has %j', (body, expected) => {
  const store =
    "export const due = () => redis.zrangebyscore('retries', 0, 1)\nexport async function removeFromRetryQueue(id) { await redis.zrem('retries', id) }\n"
  expect(foundIn(messageLossAck, { 'src/a.js': ROUND(body), 'src/store.js': store })).toEqual(expected)
})

test.each([
  ['consumer.commit(m)\n  onEventCallback(m.value)', ['strong 2']],
  ['if (++count % 5 === 0) {\n    consumer.commit(m)\n  }\n  onEventCallback(m.value)', ['strong 3']],
  ['onEventCallback(m.value)\n  consumer.commit(m)', []],
  ['if (seen(m)) {\n    consumer.commit(m)\n    return\n  }\n  onEventCallback(m.value)', []],
  ['transaction.commit(m)\n  onEventCallback(m.value)', []],
])('MF3: an offset that is committed first: %j has %j', (body, expected) => {
  expect(foundIn(messageLossAck, { 'src/a.js': `consumer.on('data', (m) => {\n  ${body}\n})` })).toEqual(expected)
})

const ORDERS = (type: string, body: string): string =>
  `import { Inject, Injectable } from '@nestjs/common'
import { ClientProxy } from '@nestjs/microservices'
import { Model } from 'mongoose'
import { Screen } from './screen'
@Injectable()
export class Orders {
  constructor(private readonly rows: Model<Order>, private readonly payments: ${type}) {}
  async place(order) {
    ${body}
  }
}
`
test.each([
  ["await this.rows.create(order)\n    this.payments.emit('start', order)", 'ClientProxy', ['review 10']],
  ["this.payments.emit('start', order)\n    await this.rows.create(order)", 'ClientProxy', []],
  ["await this.rows.findOne(order)\n    this.payments.emit('start', order)", 'ClientProxy', []],
  ["await this.rows.create(order)\n    this.payments.emit('start', order)", 'Screen', []],
])('QV13: a document, and what a client of Nest emits: %j by a %s has %j', (body, type, expected) => {
  expect(foundIn(dualWrite, { 'src/a.ts': ORDERS(type, body) })).toEqual(expected)
})
