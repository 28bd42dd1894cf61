import { expect, test } from 'vitest'
import { foundBy } from './found.fixture.ts'
import { missingIdempotency } from './missing-idempotency.ts'
import { stateInMemory } from './state-in-memory.ts'

const APP = "import express from 'express'\nconst app = express()\n"

test.each([
  [
    'a.ts',
    `${APP}const orders = new Map()\napp.post('/o', (req, res) => { orders.set(req.body.id, req.body) })\napp.get('/o', (req, res) => res.json([...orders.values()]))`,
    ['strong a.ts:3'],
  ],
  [
    'a.ts',
    `${APP}const orderCache = new Map()\napp.post('/o', (req, res) => { orderCache.set(req.body.id, req.body) })\napp.get('/o', (req, res) => res.json(orderCache.get(1)))`,
    [],
  ],
  [
    'a.ts',
    `${APP}const orders = new Map()\napp.post('/o', async (req, res) => { orders.set(req.body.id, req.body); await prisma.order.create({ data: req.body }) })\napp.get('/o', (req, res) => res.json(orders.get(1)))`,
    [],
  ],
  [
    'a.ts',
    `${APP}const orders = new Map()\norders.set(1, 2)\napp.get('/o', (req, res) => res.json(orders.get(1)))`,
    [],
  ],
  [
    'a.py',
    'from fastapi import FastAPI\napp = FastAPI()\njobs = {}\n@app.post("/jobs")\nasync def start(id: str):\n    jobs[id] = 1\n@app.get("/jobs")\nasync def show(id: str):\n    return jobs[id]\n',
    ['strong a.py:3'],
  ],
  [
    'a.py',
    'from fastapi import FastAPI\napp = FastAPI()\nclass Rooms:\n    def __init__(self):\n        self.members = []\n        self.rooms = {}\n    def enter(self, id):\n        self.rooms[id] = 1\n    def all(self):\n        return self.rooms.values()\nrooms = Rooms()\n@app.post("/rooms")\nasync def enter(id: str):\n    rooms.enter(id)\n',
    ['strong a.py:6'],
  ],
  [
    'a.py',
    'from fastapi import FastAPI\napp = FastAPI()\nclass Rooms:\n    def __init__(self):\n        self.rooms = {}\n    def enter(self, id):\n        self.rooms[id] = 1\n        return self.rooms.values()\n@app.post("/rooms")\nasync def enter(id: str):\n    rooms = Rooms()\n    rooms.enter(id)\n',
    [],
  ],
  [
    'a.py',
    'import asyncio\nfrom fastapi import FastAPI\napp = FastAPI()\ntasks = set()\n@app.post("/jobs")\nasync def start(id: str):\n    task = asyncio.create_task(run(id))\n    tasks.add(task)\n@app.get("/jobs")\nasync def show():\n    return len(tasks)\n',
    [],
  ],
  [
    'www/a.js',
    "const events = new Map()\nsocket.on('message', (m) => { events.set(m.id, m) })\nexport const draw = () => { document.title = String(events.size) }\nwindow.addEventListener('load', draw)\n",
    [],
  ],
])('CU17: %s %j is %j', (path, text, expected) => {
  expect(foundBy(stateInMemory, { [path]: text })).toEqual(expected)
})

const SEATS = (seats: string) =>
  `${APP}${seats}\napp.post('/book', (req, res) => { if (seats[req.body.row] > 0) seats[req.body.row]--; res.end() })`

test.each([
  [SEATS('const seats = { a: 12 }').replaceAll('seats', 'stock'), ['strong a.ts:3']],
  [
    `${APP}let users = [{ id: 1, name: 'Ann' }]\napp.delete('/u/:id', (req, res) => { users = users.filter((u) => u.id !== 1); res.end() })\napp.get('/u', (req, res) => res.json(users))`,
    ['strong a.ts:3'],
  ],
  // Nothing changes it; what it begins with is no row; its name is that of something else.
  [
    `${APP}const users = [{ id: 1, name: 'Ann' }]\napp.get('/u', (req, res) => res.json(users.filter((u) => u.id === 1)))`,
    [],
  ],
  [
    `${APP}const stock = { open: () => 1 }\napp.post('/b', (req, res) => { stock[req.body.row] = 1; res.end(stock.open()) })`,
    [],
  ],
  [SEATS('const seats = { a: 12 }').replaceAll('seats', 'defaults'), []],
])('QV1: a collection that begins with rows: %j is %j', (text, expected) => {
  expect(foundBy(stateInMemory, { 'a.ts': text })).toEqual(expected)
})

const BUS = (body: string) => `class Orders:
    async def listen(self):
        await self.bus.subscribe(topics=["paid"], consumer_group="orders", handler=self.on_paid)

    async def on_paid(self, event):
${body}

    async def start_shipping(self, data):
        shipping_id = str(uuid.uuid4())
        await self.persist(shipping_id, data)

    async def advance(self, shipping):
        shipping.current_step += 1
        await self.persist(shipping)
`

test.each([
  ['        await self.start_shipping(event.data)', ['strong a.py:6']],
  ['        await self.advance(event.shipping)', ['strong a.py:6']],
  [
    '        if await self.already_processed(event.id):\n            return\n        await self.start_shipping(event.data)',
    [],
  ],
  ['        if event.shipping.status != "paid":\n            return\n        await self.advance(event.shipping)', []],
  ['        logger.info(event.id)', []],
])('CU18: of a bus, %j is %j', (body, expected) => {
  expect(foundBy(missingIdempotency, { 'a.py': BUS(body) })).toEqual(expected)
})

test.each([
  [
    'from aiokafka import AIOKafkaConsumer\nasync def take(db):\n    consumer = AIOKafkaConsumer("paid", group_id="g")\n    async for m in consumer:\n        db.add(Order(sum=m.value))\n        db.commit()\nclass Order(Base):\n    sum = Column(Integer)\n',
    ['strong a.py:5'],
  ],
  [
    'def take(db, client):\n    while True:\n        answer = client.receive_message(QueueUrl=url)\n        db.add(Order(sum=answer))\n        db.commit()\nclass Order(Base):\n    sum = Column(Integer)\n',
    ['strong a.py:4'],
  ],
  [
    'from aiokafka import AIOKafkaConsumer\nasync def take(db):\n    consumer = AIOKafkaConsumer("paid", group_id="g")\n    async for m in consumer:\n        db.add(Order(id=m.id, sum=m.value))\n        db.commit()\nclass Order(Base):\n    sum = Column(Integer)\n',
    [],
  ],
])('CU18: of a loop, %j is %j', (text, expected) => {
  expect(foundBy(missingIdempotency, { 'a.py': text })).toEqual(expected)
})

const HOOK = (body: string) =>
  `${APP}app.post('/hooks/webhook', async (req, res) => {\n  verifySignature(req.headers['x-signature'], req.body)\n${body}\n})`

test.each([
  ['  await prisma.payment.create({ data: { sum: req.body.sum } })', ['strong a.ts:5']],
  ['  await prisma.payment.upsert({ where: { id: req.body.id }, create: {}, update: {} })', []],
  [
    '  const known = await prisma.payment.findFirst({ where: { order: req.body.order } })\n  if (!known) await prisma.payment.create({ data: { order: req.body.order } })',
    [],
  ],
  [
    "  const event = req.body\n  if (await prisma.payment.findFirst({ where: { eventId: event.id } })) return res.end('duplicate')\n  await prisma.payment.create({ data: { eventId: event.id } })",
    [],
  ],
])('CU18: of a webhook, %j is %j', (body, expected) => {
  expect(foundBy(missingIdempotency, { 'a.ts': HOOK(body) })).toEqual(expected)
})

test.each([
  ['export const pay = () => withRetry(() => stripe.paymentIntents.create({ amount: 1 }))', ['strong a.ts:1']],
  [
    'export const pay = (id) => withRetry(() => stripe.paymentIntents.create({ amount: 1 }, { idempotencyKey: id }))',
    [],
  ],
  ['export const pay = () => stripe.paymentIntents.create({ amount: 1 })', []],
])('CU19: %j is %j', (text, expected) => {
  expect(foundBy(missingIdempotency, { 'a.ts': text })).toEqual(expected)
})
