import { describe, expect, it, test } from 'vitest'
import { foundIn } from '../found.fixture.ts'
import { listenerLeak } from './listener-leak.ts'
import { unboundedConcurrency } from './unbounded-concurrency.ts'
import { unboundedPayload } from './unbounded-payload.ts'
import { unboundedQuery } from './unbounded-query.ts'
import { unboundedQueue } from './unbounded-queue.ts'
import { wsNoMaxPayload } from './ws-no-max-payload.ts'

const EXPRESS = "import express from 'express'\nconst app = express()\n"
const FASTAPI = 'from fastapi import FastAPI\napp = FastAPI()\n'

describe('servers of sockets', () => {
  test.each([
    ["import { WebSocketServer as S } from 'ws'\nconst s = new S({ port: 1 })", ['strong 2']],
    ["import WebSocket from 'ws'\nconst s = new WebSocket.Server({ port: 1 })", ['strong 2']],
    ["import { WebSocketServer } from 'ws'\nconst o = { port: 1 }\nconst s = new WebSocketServer(o)", ['strong 3']],
    ["import { WebSocketServer } from 'ws'\nconst s = new WebSocketServer({ port: 1, maxPayload: 9 })", []],
    ["import { WebSocketServer } from 'ws'\nconst s = new WebSocketServer({ ...options })", []],
    ["import { WebSocketServer } from 'ws'\nconst s = new WebSocketServer(options)", []],
    ["import WebSocket from 'ws'\nconst s = new WebSocket('ws://x')", []],
    ["import { Server } from 'socket.io'\nconst s = new Server(http, { maxHttpBufferSize: 1e9 })", ['strong 2']],
    ["import { Server } from 'socket.io'\nconst s = new Server(http, {})", []],
  ])('BD8: %j has %j', (source, expected) => {
    expect(foundIn(wsNoMaxPayload, { 'src/a.ts': source })).toEqual(expected)
  })

  it('BD8: in Python a limit that is switched off is found', () => {
    const served = (more: string): readonly string[] =>
      foundIn(wsNoMaxPayload, { 'src/a.py': `import websockets\nwebsockets.serve(take, "x", 1${more})\n` })
    expect(served(', max_size=None')).toEqual(['strong 2'])
    expect(served('')).toEqual([])
  })
})

describe('queues', () => {
  const memory = (size: string, more = ''): readonly string[] =>
    foundIn(unboundedQueue, {
      'src/a.py': `import asyncio\n${FASTAPI}work = asyncio.Queue(${size})\n@app.post("/x")\nasync def take(item: dict):\n    await work.put(item)\n${more}`,
    })

  it('BD9: in memory are found where requests fill them', () => {
    expect(memory('')).toEqual(['strong 4'])
    expect(memory('maxsize=0')).toEqual(['strong 4'])
    expect(memory('100')).toEqual([])
    expect(memory('', '    if work.qsize() > 9:\n        raise Full()\n')).toEqual([])
    expect(
      memory('').length +
        foundIn(unboundedQueue, { 'src/a.py': 'import asyncio\nwork = asyncio.Queue()\nwork.put_nowait(1)\n' }).length,
    ).toBe(1)
  })

  test.each([
    ["const q = new Queue('x', { defaultJobOptions: { removeOnFail: false, removeOnComplete: 9 } })", ['strong 2']],
    ["const q = new Queue('x', { connection })", ['strong 2']],
    ["const q = new Queue('x', { connection })\nq.add('a', {}, { removeOnComplete: true })", []],
    ["const q = new Queue('x', { defaultJobOptions: { removeOnComplete: 9 } })", []],
    ["const q = new Queue('x', { defaultJobOptions })", []],
    ["const q = new Queue('x', options)", []],
    ["const q = new Queue('x')\nconst kept = { removeOnComplete: { count: 9 } } as const\nq.add('a', {}, kept)", []],
  ])('BD9: jobs of %j are kept: %j', (source, expected) => {
    expect(foundIn(unboundedQueue, { 'src/a.ts': `import { Queue } from 'bullmq'\n${source}` })).toEqual(expected)
  })

  test.each([
    ["channel.consume('x', take)", ['strong 2']],
    ["channel.prefetch(9)\nchannel.consume('x', take)", []],
    ["channel.consume('x', take, { noAck: true })", []],
  ])('BD9: a consumer %j: %j', (source, expected) => {
    expect(foundIn(unboundedQueue, { 'src/a.ts': `import amqp from 'amqplib'\n${source}` })).toEqual(expected)
  })
})

describe('listeners', () => {
  const listening = (body: string, more = ''): readonly string[] =>
    foundIn(listenerLeak, {
      'src/a.ts': `${EXPRESS}import { bus } from './bus'\napp.get('/x', (req, res) => { ${body} })\n${more}`,
      'src/bus.ts': "import { EventEmitter } from 'node:events'\nexport const bus = new EventEmitter()\n",
    })

  it('BD10: on what lives on are found where a request adds them', () => {
    expect(listening("bus.on('change', () => res.write('x'))")).toEqual(['strong src/a.ts:4'])
    expect(listening("process.on('warning', () => {})")).toEqual(['strong src/a.ts:4'])
  })

  it('BD10: are not where they are taken off, or what they hear ends with the request', () => {
    expect(listening("bus.on('change', tell); req.on('close', () => bus.off('change', tell))")).toEqual([])
    expect(listening("bus.once('change', () => {})")).toEqual([])
    expect(listening("req.on('close', () => {})")).toEqual([])
    expect(listening('', "bus.on('change', () => {})\n")).toEqual([])
  })
})

describe('payloads', () => {
  const server = (body: string): readonly string[] =>
    foundIn(unboundedPayload, {
      'src/a.ts': `import http from 'node:http'\nhttp.createServer((req, res) => {\n  ${body}\n})\n`,
    })

  it('BD11: that are gathered are found where nothing counts', () => {
    expect(server("let body = ''; req.on('data', (chunk) => { body += chunk })")).toEqual(['strong 3'])
    expect(server("const parts = []; req.on('data', (chunk) => parts.push(chunk))")).toEqual(['strong 3'])
    expect(server("let b = ''; req.on('data', (c) => { b += c; if (b.length > 9) req.destroy() })")).toEqual([])
    expect(server("let n = 0; req.on('data', (c) => { send(c) })")).toEqual([])
  })

  test.each([
    ["import express from 'express'\napp.use(express.json({ limit: '200mb' }))", ['strong 2']],
    ["import express from 'express'\napp.use(express.json({ limit: '50mb' }))", ['review 2']],
    ["import express from 'express'\napp.use(express.json({ limit: '1mb' }))", []],
    ["import multer from 'multer'\nconst u = multer({ storage: multer.memoryStorage() })", ['strong 2']],
    ["import multer from 'multer'\nconst u = multer({ limits: { fileSize: 9 } })", []],
    ["import multer from 'multer'\nconst u = multer(options)", []],
  ])('BD11: %j has %j', (source, expected) => {
    expect(foundIn(unboundedPayload, { 'src/a.ts': source })).toEqual(expected)
  })

  it('BD11: uploads that are read whole are found, and are for review behind a proxy', () => {
    const upload = (body: string, more: Readonly<Record<string, string>> = {}): readonly string[] =>
      foundIn(unboundedPayload, {
        'src/a.py': `${FASTAPI}@app.post("/x")\nasync def take(file: UploadFile):\n    ${body}\n`,
        ...more,
      })
    expect(upload('data = await file.read()')).toEqual(['strong 5'])
    expect(upload('data = await file.read(100)')).toEqual([])
    expect(upload('if file.size > 9:\n        raise Large()\n    data = await file.read()')).toEqual([])
    expect(upload('data = await file.read()', { 'compose.yml': 'services:\n  web:\n    image: nginx:1\n' })).toEqual([
      'review src/a.py:5',
    ])
  })
})

describe('answers and parallel work', () => {
  const prisma = (body: string): Readonly<Record<string, string>> => ({
    'src/a.ts': `${EXPRESS}import { PrismaClient } from '@prisma/client'\nimport axios from 'axios'\nconst prisma = new PrismaClient()\napp.get('/x', async (req, res) => {\n  ${body}\n})\n`,
  })

  it('BD12: a table is also read whole through the layers below', () => {
    const layered = (asked: string): readonly string[] =>
      foundIn(unboundedQuery, {
        'src/desk.ts':
          "import { Controller, Get } from '@nestjs/common'\nimport { Items } from './items'\n@Controller('items')\nexport class Desk {\n  constructor(private readonly items: Items) {}\n  @Get()\n  all() { return this.items.list() }\n}\n",
        'src/items.ts':
          "import { ItemRepository } from './repository'\nexport class Items {\n  constructor(private readonly rows: ItemRepository) {}\n  list() { return this.rows.everything() }\n}\n",
        'src/repository.ts': `export class ItemRepository {\n  constructor(private readonly prisma: PrismaService) {}\n  everything() { return this.prisma.item.findMany(${asked}) }\n}\n`,
      })
    expect(layered('')).toEqual(['review src/repository.ts:3'])
    expect(layered('{ take: 9 }')).toEqual([])
  })

  it('BD12: a route that reads a whole table is for review', () => {
    expect(foundIn(unboundedQuery, prisma('res.json(await prisma.item.findMany())'))).toEqual(['review 7'])
    expect(foundIn(unboundedQuery, prisma('res.json(await prisma.item.findMany({ take: 9 }))'))).toEqual([])
    expect(foundIn(unboundedQuery, prisma('res.json(await prisma.item.findMany({ where: { a } }))'))).toEqual([])
    expect(foundIn(unboundedQuery, prisma('res.json(await Item.find())'))).toEqual(['review 7'])
    expect(foundIn(unboundedQuery, prisma('res.json(await itemRepo.find({ relations: [a] }))'))).toEqual(['review 7'])
    expect(foundIn(unboundedQuery, prisma('res.json(await Item.find().sort(s).limit(9))'))).toEqual([])
    expect(foundIn(unboundedQuery, prisma('res.json(await Item.find({ a }))'))).toEqual([])
    expect(foundIn(unboundedQuery, prisma('res.json(list.find())'))).toEqual([])
    expect(foundIn(unboundedQuery, prisma('res.json(await itemsColl.find().toArray())'))).toEqual(['review 7'])
    const python = (query: string): readonly string[] =>
      foundIn(unboundedQuery, { 'src/a.py': `${FASTAPI}@app.get("/x")\ndef all_items(db):\n    return ${query}\n` })
    expect(python('db.query(Item).all()')).toEqual(['review 5'])
    expect(python('db.execute(select(Item)).scalars().all()')).toEqual(['review 5'])
    expect(python('db.query(Item).limit(9).all()')).toEqual([])
    expect(python('db.query(Item).filter(Item.a == 1).all()')).toEqual([])
  })

  it('QV7: a table is read whole with Drizzle', () => {
    const read = (query: string, module = 'drizzle-orm'): readonly string[] =>
      foundIn(unboundedQuery, {
        'src/a.ts': `import { eq } from '${module}'\n${EXPRESS}app.get('/x', async (req, res) => {\n  res.json(await db${query})\n})`,
      })
    expect(read('.select({ id: items.id }).from(items)')).toEqual(['review 5'])
    expect(read('.select().from(items).orderBy(items.id)')).toEqual(['review 5'])
    expect(read('.select().from(items).where(eq(items.id, 1))')).toEqual([])
    expect(read('.select({ total: count() }).from(items)')).toEqual([])
    expect(read('.select().from(items)', 'somewhere')).toEqual([])
  })

  it('QJ20: a model is known by its folder, a collection by its name', () => {
    const read = (from: string, query: string): readonly string[] =>
      foundIn(unboundedQuery, {
        'src/a.ts': `import item from '${from}'\n${EXPRESS}app.get('/x', async (req, res) => {\n  res.json(await ${query})\n})`,
      })
    expect(read('../models/item.js', 'item.find({})')).toEqual(['review 5'])
    expect(read('../models/item.js', 'itemCollection.find().toArray()')).toEqual(['review 5'])
    expect(read('../lists/item.js', 'item.find({})')).toEqual([])
    expect(read('../models/item.js', 'item.find({ a })')).toEqual([])
  })

  it('QT4: a findAll of its own is no query', () => {
    const read = (found: string): readonly string[] =>
      foundIn(unboundedQuery, {
        'src/b.ts': `export class Items {\n  async findAll() {\n    return ${found}\n  }\n}`,
        'src/a.ts': `import { Items } from './b'\nconst items = new Items()\n${EXPRESS}app.get('/x', async (req, res) => {\n  res.json(await items.findAll())\n})`,
      })
    expect(read('[1, 2]')).toEqual([])
    expect(read('this.itemModel.find()')).toEqual(['review src/b.ts:3'])
  })

  it('BD13: a call for each item is found where the list is a whole table, or comes with the request', () => {
    const each = (list: string, body: string): readonly string[] =>
      foundIn(unboundedConcurrency, prisma(`const items = ${list}; await Promise.all(items.map((item) => ${body}))`))
    expect(each('await prisma.item.findMany()', 'axios.post(url, item)')).toEqual(['strong 7'])
    expect(each('await prisma.item.findMany({ take: 9 })', 'axios.post(url, item)')).toEqual([])
    expect(each('await prisma.item.findMany()', 'limit(() => axios.post(url, item))')).toEqual([])
    expect(each('await prisma.item.findMany()', 'format(item)')).toEqual([])
    expect(
      foundIn(unboundedConcurrency, prisma('await Promise.all(req.body.ids.map((id) => axios.get(url + id)))')),
    ).toEqual(['review 7'])
  })
})
