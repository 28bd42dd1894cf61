import { describe, expect, it, test } from 'vitest'
import { foundIn } from '../found.fixture.ts'
import { ackOnFailure } from './ack-on-failure.ts'
import { dualWrite } from './dual-write.ts'
import { messageLoss } from './message-loss.ts'
import { messageLossAck } from './message-loss-ack.ts'
import { messageNoRedelivery } from './message-no-redelivery.ts'
import { noDlq } from './no-dlq.ts'
import { retryTtlLoss } from './retry-ttl-loss.ts'
import { stateTtl } from './state-ttl.ts'
import { wsReconnectNoResync } from './ws-reconnect-no-resync.ts'

describe('messages that are gone before their work is done', () => {
  test.each([
    ['    channel.basic_ack(delivery_tag=method.delivery_tag)\n    process(order)', ['strong 3']],
    ['    process(order)\n    channel.basic_ack(delivery_tag=method.delivery_tag)', []],
    ['    channel.basic_ack(delivery_tag=method.delivery_tag)\n    log.info(order)', []],
  ])('MF3: of pika: %j has %j', (body, expected) => {
    const text = `def take(channel, method, properties, body):\n    order = json.loads(body)\n${body}\n`
    expect(foundIn(messageLossAck, { 'src/a.py': text })).toEqual(expected)
  })

  test.each([
    [
      'src/a.py',
      'async def next_job(self):\n    data = await self.redis.rpop("jobs")\n    return data\n',
      ['strong 2'],
    ],
    [
      'src/a.ts',
      'async function next() {\n  const [, job] = await redis.blpop("x", 0)\n  await work(job)\n}',
      ['strong 2'],
    ],
    ['src/a.py', 'async def trim(self):\n    await self.redis.rpop("jobs")\n', []],
    ['src/a.py', 'async def next_color(self):\n    color = await self.redis.rpop("palette")\n', []],
    [
      'src/a.py',
      'def next_job(self):\n    data = self.redis.lmove("jobs", "doing")\n    old = self.redis.rpop("jobs")\n',
      [],
    ],
  ])('MF1: popped in %s: %j has %j', (file, source, expected) => {
    expect(foundIn(messageLossAck, { [file]: source })).toEqual(expected)
  })

  test.each([
    ["channel.consume('orders', async (m) => { await save(m) }, { noAck: true })", ['strong 1']],
    ["channel.consume('orders', take, { noAck: false })", []],
    ["channel.consume('amq.rabbitmq.reply-to', take, { noAck: true })", []],
    ["channel.assertQueue('', { exclusive: true })\nchannel.consume(q.queue, take, { noAck: true })", []],
  ])('MF2: %j has %j', (source, expected) => {
    expect(foundIn(messageLossAck, { 'src/a.ts': source })).toEqual(expected)
  })

  it('MF2: in Python automatic acknowledgement is found', () => {
    const source = 'channel.basic_consume(queue="orders", on_message_callback=take, auto_ack=True)\n'
    expect(foundIn(messageLossAck, { 'src/a.py': source })).toEqual(['strong 1'])
  })

  test.each([
    ['channel.ack(m)\n  await save(m)', ['strong 2']],
    ['const order = JSON.parse(m.content)\n  channel.ack(m)\n  await save(order)', ['strong 3']],
    ['await save(m)\n  channel.ack(m)', []],
    ['channel.ack(m)\n  log.info(m)', []],
    ['channel.ack(m)\n  await tidy()', []],
    ['if (seen(m)) {\n    channel.ack(m)\n    return\n  }\n  await save(m)', []],
  ])('MF3: %j has %j', (body, expected) => {
    expect(foundIn(messageLossAck, { 'src/a.ts': `async function take(m) {\n  ${body}\n}` })).toEqual(expected)
  })
})

describe('messages that do not come back', () => {
  const loop = (name: string, more = ''): readonly string[] =>
    foundIn(messageNoRedelivery, {
      'src/a.py': `async def run(self):\n    name = ${name}\n    while True:\n        got = await self.redis.xreadgroup("g", name, {"orders": ">"})\n${more}`,
    })

  it('MF4: are found where only what is new is read', () => {
    expect(loop('"one"')).toEqual(['strong 4'])
    expect(loop('"one"', '        await self.redis.xautoclaim("orders", "g", name, 60000)\n')).toEqual([])
    const typescript = "redis.xreadgroup('GROUP', 'g', 'c', 'STREAMS', 'orders', '>')"
    expect(foundIn(messageNoRedelivery, { 'src/a.ts': typescript })).toEqual(['strong 1'])
    expect(foundIn(messageNoRedelivery, { 'src/a.ts': typescript.replace("'>'", "'0'") })).toEqual([])
  })

  test.each([
    ['await self.redis.set(f"retry:{m.id}", dump(m), ex=self.delay * m.attempt)', ['strong 2']],
    ['await self.redis.setex(f"retry:{m.id}", backoff, dump(m))', ['strong 2']],
    ['await self.redis.set(f"retry:{m.id}", dump(m), ex=86400)', []],
    ['await self.redis.set(f"retry:lock:{m.id}", dump(m), ex=self.delay)', []],
    ['await self.redis.set(f"retry:{m.id}", "1", ex=self.delay)', []],
    ['await self.redis.set(f"user:{m.id}", dump(m), ex=self.delay)', []],
  ])('MF5: %j has %j', (call, expected) => {
    expect(foundIn(retryTtlLoss, { 'src/a.py': `async def again(self, m):\n    ${call}\n` })).toEqual(expected)
  })

  it('MF5: is silent where the end of a key is what is listened to', () => {
    const source = `async function retryLater(m) { await redis.set('retry:' + m.id, dump(m), 'EX', delay) }\n`
    expect(foundIn(retryTtlLoss, { 'src/a.ts': source })).toEqual(['strong 1'])
    expect(foundIn(retryTtlLoss, { 'src/a.ts': `${source}redis.psubscribe('__keyevent@0__:expired')\n` })).toEqual([])
  })
})

describe('work that fails for good', () => {
  const task = (end: string, test = 'if self.request.retries < 3:\n            '): readonly string[] =>
    foundIn(noDlq, {
      'src/a.py': `@app.task(bind=True)\ndef deliver(self, order):\n    try:\n        send(order)\n    except Exception as error:\n        ${test}raise self.retry(exc=error)\n        ${end}\n`,
    })

  it('MF6: is found where a task returns it, and not where it is kept or thrown', () => {
    expect(task('return {"status": "failed"}')).toEqual(['strong 8'])
    expect(task('raise')).toEqual([])
    expect(task('save_failed(order)\n        return None')).toEqual([])
    expect(task('return None', '')).toEqual([])
    const last = (body: string): readonly string[] =>
      foundIn(noDlq, {
        'src/a.py': `@app.task(bind=True)\ndef deliver(self, order):\n    try:\n        self.retry()\n    except self.MaxRetriesExceededError:\n        ${body}\n`,
      })
    expect(last('log.error("gone")')).toEqual(['strong 5'])
    expect(last('dead_letters.add(order)')).toEqual([])
  })

  test.each([
    ["channel.assertQueue('x')\nchannel.nack(m, false, false)", ['strong 3']],
    ['channel.nack(m, false, false)', ['review 2']],
    ["channel.assertQueue('x', { deadLetterExchange: 'd' })\nchannel.nack(m, false, false)", []],
    ['channel.nack(m, false, true)', []],
  ])('MF7: %j has %j', (source, expected) => {
    expect(foundIn(noDlq, { 'src/a.ts': `import amqp from 'amqplib'\n${source}` })).toEqual(expected)
  })

  it('MF7: failed jobs that are deleted are found, unless somebody keeps them', () => {
    const jobs = (more: string): readonly string[] =>
      foundIn(noDlq, { 'src/a.ts': `const q = new Queue('x', { defaultJobOptions: { removeOnFail: true } })\n${more}` })
    expect(jobs('')).toEqual(['strong 1'])
    expect(jobs("w.on('failed', (job) => { log.error(job) })")).toEqual(['strong 1'])
    expect(jobs("w.on('failed', (job) => { deadLetters.insert(job) })")).toEqual([])
  })

  test.each([
    ['async with message.process():\n        await save(message)', ['strong 3']],
    ['async with message.process(requeue=True):\n        await save(message)', []],
    ['async with message.process(ignore_processed=True):\n        await save(message)', ['strong 3']],
    ['async with message.process():\n        await message.ack()\n        await save(message)', []],
  ])('MF15: %j has %j', (body, expected) => {
    const text = `import aio_pika\nasync def take(message):\n    ${body}\nasync def start(channel):\n    await channel.declare_queue("a")\n`
    expect(foundIn(noDlq, { 'src/a.py': text })).toEqual(expected)
  })

  const stream = (options: string, handler: string): readonly string[] =>
    foundIn(ackOnFailure, {
      'src/a.py': `from aiokafka import AIOKafkaConsumer\nasync def take():\n    consumer = AIOKafkaConsumer("a", group_id="g"${options})\n    await consumer.start()\n    async for message in consumer:\n        try:\n            await save(message)\n        except Exception as error:\n            ${handler}\n`,
    })

  it('MF16: is found where offsets are committed by themselves behind a failure', () => {
    expect(stream('', 'log.error(error)')).toEqual(['strong 8'])
    expect(stream(', enable_auto_commit=True', 'log.error(error)')).toEqual(['strong 8'])
    expect(stream(', enable_auto_commit=False', 'log.error(error)')).toEqual([])
    expect(stream('', 'await dead_letters.send(message)')).toEqual([])
    expect(stream('', 'raise')).toEqual([])
  })

  const consumer = (rest: string): readonly string[] =>
    foundIn(ackOnFailure, { 'src/a.ts': `async function take(m) {\n  try {\n    await handle(m)\n  ${rest}\n}` })

  it('MF8: is found where it is acknowledged all the same', () => {
    expect(consumer('} finally {\n    channel.ack(m)\n  }')).toEqual(['strong 5'])
    expect(consumer('} catch (error) {\n    log.error(error)\n    channel.ack(m)\n  }')).toEqual(['strong 6'])
    expect(consumer('} catch (error) {\n    await park(m)\n    channel.ack(m)\n  }')).toEqual([])
    expect(consumer('} catch (error) {\n    if (error.isFinal) channel.ack(m)\n    else channel.nack(m)\n  }')).toEqual(
      [],
    )
    const reading = 'try {\n  order = JSON.parse(m.content)\n} catch (error) {\n  channel.ack(m)\n}'
    expect(foundIn(ackOnFailure, { 'src/a.ts': reading })).toEqual([])
    const named = 'def take(m):\n    try:\n        handle(m)\n    except BadMessage:\n        channel.basic_ack(m)\n'
    expect(foundIn(ackOnFailure, { 'src/a.py': named })).toEqual([])
    expect(foundIn(ackOnFailure, { 'src/a.py': named.replace('BadMessage', 'Exception') })).toEqual(['strong 5'])
  })
})

describe('messages that are deleted unread', () => {
  const collected = (body: string, give: string): readonly string[] =>
    foundIn(messageLoss, {
      'src/a.py': `class Jobs:
    async def next(self):
        due = await self.collect()
        ${give}

    async def collect(self):
        due = []
        for key in await self.redis.keys("retry:*"):
            due.append(await self.redis.get(key))
            ${body}
        return due
`,
    })

  it('MF9: are found where only the first of them is given on', () => {
    expect(collected('await self.redis.delete(key)', 'return due[0] if due else None')).toEqual(['strong 10'])
    expect(collected('pass', 'return due[0] if due else None')).toEqual([])
    expect(collected('await self.redis.delete(key)', 'return due')).toEqual([])
    expect(collected('await self.redis.delete(key)', 'self.rest.extend(due)\n        return due[0]')).toEqual([])
  })

  const flush = (between: string, key = "'pending'"): readonly string[] =>
    foundIn(messageLoss, {
      'src/a.ts': `async function flush() {\n  const items = await redis.lrange('pending', 0, -1)\n  ${between}\n  await redis.del(${key})\n}`,
    })

  it('MF10: are found between reading a key and deleting it', () => {
    expect(flush('await save(items)')).toEqual(['strong 4'])
    expect(flush('await save(items)', "'other'")).toEqual([])
    expect(flush("await redis.rename('pending', 'doing')")).toEqual([])
  })
})

describe('state and effects', () => {
  test.each([
    ['await self.redis.setex(f"saga:{self.id}", 3600, dump(self))', ['strong 2']],
    ['await self.redis.set(f"saga:{self.id}", dump(self), ex=2592000)', []],
    ['await self.redis.setex(f"saga:lock:{self.id}", 60, "1")', []],
    ['await self.redis.setex(f"user:{self.id}", 3600, dump(self))', []],
  ])('MF11: %j has %j', (call, expected) => {
    expect(foundIn(stateTtl, { 'src/a.py': `async def persist(self):\n    ${call}\n` })).toEqual(expected)
  })

  const written = (more = ''): readonly string[] =>
    foundIn(dualWrite, {
      'src/a.ts': `import { Pool } from 'pg'
import { Kafka } from 'kafkajs'
const pool = new Pool()
const producer = new Kafka({}).producer()
export async function order(id: string) {
  await pool.query('INSERT INTO orders VALUES ($1)', [id])
  await producer.send({ topic: 'orders', messages: [] })
}
${more}`,
    })

  it('MF12: a message behind a write is for review, but for an outbox', () => {
    expect(written()).toEqual(['review 7'])
    expect(written('export function readOutbox() {}\n')).toEqual([])
  })

  test.each([
    [
      'def make(db, producer):\n    save(db)\n    producer.send_and_wait("a", b"")\ndef save(db):\n    db.add(1)\n    db.commit()\n',
      ['review 3'],
    ],
    [
      'def make(db, sqs):\n    db.commit()\n    tell(sqs)\ndef tell(sqs):\n    sqs.send_message(QueueUrl=url, MessageBody="a")\n',
      ['review 3'],
    ],
    ['def make(db):\n    db.commit()\n    resize_task.delay(1)\n', ['review 3']],
    ['def make(db, producer):\n    producer.send_and_wait("a", b"")\n    log(db)\n', []],
    ['def make(db, bot):\n    db.commit()\n    bot.send_message(1, "a")\n', []],
  ])('MF14: %j has %j', (text, expected) => {
    expect(foundIn(dualWrite, { 'src/a.py': text })).toEqual(expected)
  })

  test.each([
    ['await Order.create(order)', ['review 3']],
    ['const found = await Order.findById(id); found.done = true; await found.save()', ['review 3']],
    ['const made = new Order({ id }); await made.save()', ['review 3']],
    ['await context.save()', []],
    ['await Object.create(order)', []],
  ])('QJ27: %j before a message has %j', (write, expected) => {
    const text = `async function order(channel, id, order) {\n  ${write}\n  channel.sendToQueue('a', id)\n}`
    expect(foundIn(dualWrite, { 'src/a.js': text })).toEqual(expected)
  })

  it('QJ28: a job of Bull is a message, work of another queue is none', () => {
    const text = (module: string, job = '{ id }'): string =>
      `const Queue = require('${module}')\nconst queue = new Queue('a')\nasync function order(id) {\n  await Order.create({ id })\n  await queue.add(${job})\n}`
    expect(foundIn(dualWrite, { 'src/a.js': text('bull') })).toEqual(['review 5'])
    expect(foundIn(dualWrite, { 'src/a.js': text('p-queue') })).toEqual([])
    expect(foundIn(dualWrite, { 'src/a.js': text('bull', '() => 1') })).toEqual([])
  })

  it('MF13: a client that connects again is for review where it asks for nothing', () => {
    const client = (open: string): readonly string[] =>
      foundIn(wsReconnectNoResync, {
        'src/a.ts': `function connect() {\n  const ws = new WebSocket(url)\n  ${open}\n  ws.onclose = () => setTimeout(connect, 1000)\n}`,
      })
    expect(client('ws.onmessage = show')).toEqual(['review 4'])
    expect(client('ws.onopen = () => ws.send(JSON.stringify({ since: last }))')).toEqual([])
  })
})

test('QT33: of a request that came as a message the failure is the answer', () => {
  const take = (caught: string): string[] => [
    ...foundIn(ackOnFailure, {
      'src/a.ts': `async function reply(work, message) {\n  try {\n    return await work()\n  } catch (error) {\n    ${caught}\n  } finally {\n    channel.ack(message)\n  }\n}`,
    }),
  ]
  expect(take('return { error: error.message }')).toEqual([])
  expect(take('log(error)')).toEqual(['strong 7'])
})

test('QT18: rows of Prisma and of repositories are writes, behind which a message is sent', () => {
  const make = (write: string): readonly string[] =>
    foundIn(dualWrite, {
      'src/tell.ts': `export class Tell {\n  constructor(private readonly rabbitClient: Client) {}\n  made(order: Order) {\n    this.rabbitClient.emit('made', order)\n  }\n}`,
      'src/a.ts': `import { Tell } from './tell'\nexport class Orders {\n  constructor(private readonly tell: Tell) {}\n  async make(order: Order) {\n    ${write}\n    this.tell.made(order)\n  }\n}`,
    })
  expect(make('await this.orderRepository.save(order)')).toEqual(['review src/a.ts:6'])
  expect(make('await this.prisma.order.create({ data: order })')).toEqual(['review src/a.ts:6'])
  expect(make('await this.check(order)')).toEqual([])
})
