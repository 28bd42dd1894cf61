// Demonstrations of rules/demonstrations/work.ts with messages, run.

import type { AddressInfo } from 'node:net'
import { connect, type Socket } from 'node:net'
import { type WebSocket, WebSocketServer } from 'ws'
import { until } from '../../../packages/server/src/testing/processes.ts'
import { APP, LISTEN, REDIS } from './programs.ts'
import { shows } from './stage.ts'

const WORKER = (take: string, before = ''): string => `import Redis from 'ioredis'
const redis = new Redis(process.env.REDIS_URL)
redis.on('error', (error) => console.error(error))
async function work(job) {
  const answer = await fetch(process.env.PRICES_URL + '/' + job, { signal: AbortSignal.timeout(60_000) })
  if (!answer.ok) throw new Error('refused')
}
${before}async function next() {
${take}
}
for (;;) await next()
`

shows('killed-midway', {
  rule: 'message-loss-ack',
  torn: WORKER("  const [, job] = await redis.blpop('jobs', 0)\n  await work(job)"),
  mended: WORKER(
    "  const job = await redis.blmove('jobs', 'doing', 'LEFT', 'RIGHT', 0)\n  await work(job)\n  await redis.lrem('doing', 1, job)",
    "while (await redis.lmove('doing', 'jobs', 'RIGHT', 'LEFT')) console.log('begun, never finished: once more')\n",
  ),
  see: async (stage) => {
    const redis = await stage.redis()
    const peer = await stage.peer((_request, response) => {
      if (peer.asked.length > 1) response.end('done') // the first time it is killed before an answer comes
    })
    const program = await stage.start({ REDIS_URL: redis.url, PRICES_URL: peer.url }, false)
    await redis.ask('rpush jobs order-1')
    await until('it works', () => peer.asked.length === 1)
    await program.process.kill('SIGKILL')
    await program.process.restart()
    // What comes later is worked on later.
    await redis.ask('rpush jobs order-2')
    await until('the next one is done', () => peer.asked.includes('/order-2'))
    return peer.asked
  },
  seen: { torn: ['/order-1', '/order-2'], mended: ['/order-1', '/order-1', '/order-2'] },
})

const STREAM = (more: string): string => `import Redis from 'ioredis'
const redis = new Redis(process.env.REDIS_URL)
redis.on('error', (error) => console.error(error))
async function take(id, [, order]) {
  try {
    const answer = await fetch(process.env.PRICES_URL + '/' + order, { signal: AbortSignal.timeout(5_000) })
    if (!answer.ok) throw new Error('refused')
    await redis.xack('orders', 'shop', id)
  } catch (error) {
    console.error(error)
  }
}
await redis.xgroup('CREATE', 'orders', 'shop', '0', 'MKSTREAM')
for (;;) {
  const got = await redis.xreadgroup('GROUP', 'shop', 'one', 'COUNT', 1, 'BLOCK', 50, 'STREAMS', 'orders', '>')
  for (const [, entries] of got ?? []) for (const [id, fields] of entries) await take(id, fields)
${more}}
`

shows('failing-work', {
  rule: 'message-no-redelivery',
  torn: STREAM(''),
  mended: STREAM(`  for (const [id, , , times] of await redis.xpending('orders', 'shop', '-', '+', 10)) {
    const [, [[, fields] = []]] = await redis.xautoclaim('orders', 'shop', 'one', 0, id, 'COUNT', 1)
    if (fields === undefined) continue
    if (times < 3) await take(id, fields)
    else await redis.multi().xadd('dead', '*', ...fields).xack('orders', 'shop', id).exec()
  }
`),
  see: async (stage) => {
    const redis = await stage.redis()
    const peer = await stage.peer(({ url }, response) => {
      response.statusCode = url === '/broken' ? 500 : 200
      response.end()
    })
    const program = await stage.start({ REDIS_URL: redis.url, PRICES_URL: peer.url }, false)
    await until('it listens', async () => (await redis.ask('exists orders')) === '1')
    // With each of those after it the one that is broken had another round.
    for (const order of ['broken', 'one', 'two', 'three', 'four', 'five']) {
      await redis.ask(`xadd orders '*' order ${order}`)
      await until(`${order} was tried`, () => peer.asked.includes(`/${order}`))
    }
    const attempts = peer.asked.filter((path) => path === '/broken').length
    return [await redis.ask('xlen dead'), attempts, program.process.running]
  },
  seen: { torn: ['0', 1, true], mended: ['1', 3, true] },
})

const SAGA = (write: string): string => `${APP}${REDIS}app.post('/sagas', async () => {
  ${write}
  return 'begun'
})
${LISTEN}`

shows('outlived-key', {
  rule: 'state-ttl',
  torn: SAGA("await redis.setex('saga:1', 1, JSON.stringify({ step: 1 }))"),
  mended: SAGA("await redis.set('saga:1', JSON.stringify({ step: 1 }))"),
  see: async (stage) => {
    const redis = await stage.redis()
    const program = await stage.start({ REDIS_URL: redis.url })
    await program.ask('/sagas', { method: 'POST' })
    const ttl = (await stage.command('ttl', { 'redis-cli': `redis-cli -p ${redis.port}`, KEY: 'saga:1' })).trim()
    if (ttl === '-1') return [await redis.ask('exists saga:1'), 'it has no end']
    await until('it ends', async () => (await redis.ask('exists saga:1')) === '0')
    return ['0', 'gone']
  },
  seen: { torn: ['0', 'gone'], mended: ['1', 'it has no end'] },
})

const FEED = (onOpen: string): string => `let last = 0
function connect() {
  const ws = new WebSocket(process.env.FEED_URL)
${onOpen}  ws.onmessage = ({ data }) => {
    last = JSON.parse(data).id
    console.log('heard ' + last)
  }
  ws.onclose = () => setTimeout(connect, 50)
}
connect()
`

shows('client-away', {
  rule: 'ws-reconnect-no-resync',
  torn: FEED(''),
  mended: FEED('  ws.onopen = () => ws.send(JSON.stringify({ since: last }))\n'),
  see: async (stage) => {
    const happened = [1]
    const server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
    stage.defer(() => void server.close())
    const tell = (client: WebSocket, id: number): void => client.send(JSON.stringify({ id }))
    server.on('connection', (client) => {
      client.on('message', (data) => {
        const { since } = JSON.parse(String(data)) as { since: number }
        for (const id of happened.filter((each) => each > since)) tell(client, id)
      })
    })
    const connected = (): Promise<WebSocket> => until('it is connected', () => [...server.clients][0])
    await until('it listens', () => server.address() ?? undefined)
    const { port } = server.address() as AddressInfo
    const program = await stage.start({ FEED_URL: `ws://127.0.0.1:${port}` }, false)
    const first = await connected()
    tell(first, 1)
    await until('it hears', () => program.process.output().includes('heard 1'))
    happened.push(2) // while it is cut off
    first.terminate()
    await until('it is gone', () => ![...server.clients].includes(first))
    const second = await connected()
    // What it asks for is asked first, and answered before what comes later.
    const asked = new Promise((resolve) => second.once('message', resolve).once('ping', resolve))
    second.once('pong', () => second.emit('ping'))
    second.ping()
    await asked
    happened.push(3)
    tell(second, 3)
    await until('it hears the last one', () => program.process.output().includes('heard 3'))
    return program.process.output().includes('heard 2') ? 'heard of all' : 'missed one'
  },
  seen: { torn: 'missed one', mended: 'heard of all' },
})

const ROOM = (tell: string): Readonly<Record<string, string>> => ({
  'src/main.py': `import asyncio
import os


class Client:
    def __init__(self, writer):
        self.writer = writer

    async def send_text(self, message):
        self.writer.write(message.encode())
        await self.writer.drain()


class Room:
    def __init__(self):
        self.clients = []

    async def enter(self, reader, writer):
        self.clients.append(Client(writer))
        while True:
            try:
                line = await reader.readline()
            except ConnectionError:
                return
            if not line:
                return
            try:
                await self.tell(line.decode())
            except ConnectionError:
                print("the round broke off", flush=True)
                raise

    async def tell(self, message):
        for client in list(self.clients):
${tell}

async def main():
    server = await asyncio.start_server(Room().enter, "127.0.0.1", int(os.environ["PORT"]))
    await server.serve_forever()


asyncio.run(main())
`,
})

/** A connection, once something listens. */
function enter(port: number): Promise<Socket> {
  const dial = (): Promise<Socket | undefined> =>
    new Promise((resolve) => {
      const socket = connect({ port, host: '127.0.0.1' })
      socket.once('connect', () => resolve(socket)).once('error', () => resolve(undefined))
    })
  return until('it listens', dial)
}

shows('receiver-gone', {
  rule: 'broadcast-abort',
  needs: ['python3'],
  torn: ROOM('            await client.send_text(message)\n'),
  mended: ROOM(
    '            try:\n                await client.send_text(message)\n            except ConnectionError:\n                self.clients.remove(client)\n',
  ),
  see: async (stage) => {
    const program = await stage.start({}, false)
    const [first, second, third] = [await enter(program.port), await enter(program.port), await enter(program.port)]
    stage.defer(() => [second, third].forEach((socket) => void socket.destroy()))
    let heard = ''
    second.on('data', (bytes) => {
      heard += String(bytes)
    })
    // Connected is not yet taken in: what is said before is said to nobody.
    await until('all are in', () => {
      if (heard === '') third.write('hello\n')
      return heard !== ''
    })
    const isGone = new Promise((resolve) => first.once('close', resolve))
    first.resetAndDestroy()
    await isGone
    third.write('is anybody there\n')
    return await until('it hears, or the round broke off', () => {
      if (heard.includes('anybody')) return 'heard'
      return program.process.output().includes('the round broke off') ? 'nothing' : undefined
    })
  },
  seen: { torn: 'nothing', mended: 'heard' },
})
