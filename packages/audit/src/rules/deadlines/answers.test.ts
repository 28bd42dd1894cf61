import { describe, expect, test } from 'vitest'
import { clientPerRequest } from './client-per-request.ts'
import { foundBy } from './deadlines.fixture.ts'
import { httpStatusUnchecked } from './http-status-unchecked.ts'
import { no429Handling } from './no-429-handling.ts'
import { unboundedWait } from './unbounded-wait.ts'
import { workflowStepNoTimeout } from './workflow-step-no-timeout.ts'

const indented = (text: string): string => text.replace(/^/gm, '    ')

describe('http-status-unchecked', () => {
  test.each([
    ['const r = await fetch(u)\nreturn await r.json()', ['strong 2']],
    ['return (await fetch(u)).json()', ['strong 2']],
    ['return fetch(u).then((r) => r.json())', ['strong 2']],
    ["await fetch(u, { method: 'POST', body })", ['review 2']],
    ['const r = await fetch(u)\nif (!r.ok) throw new Error("no")\nreturn r.json()', []],
    ['const r = await fetch(u)\nreturn r', []],
    ['const r = await fetch(u)\ncheck(r)\nreturn r.json()', []],
    ['const { ok, status } = await fetch(u)\nreturn ok', []],
    ['const r = await fetch(u)\nconst data = await r.json()\nif (data.error) throw data.error\nreturn data', []],
    ['return fetch(u).then((r) => { if (r.status > 299) throw r\n return r.json() })', []],
    ['return fetch(u).then(parse)', []],
    ['await fetch(u)', []],
    ['return fetch(u)', []],
  ])('DN7: %j: %j', (body, expected) => {
    expect(foundBy(httpStatusUnchecked, { 'src/a.ts': `export async function f(u) {\n${body}\n}\n` })).toEqual(expected)
  })

  test.each([
    ['r = requests.get(u)\nreturn r.json()', ['strong 3']],
    ['return requests.get(u).json()', ['strong 3']],
    ['r = requests.get(u)\nr.raise_for_status()\nreturn r.json()', []],
    ['r = requests.get(u)\nassert r.status_code == 200\nreturn r.json()', []],
    ['try:\n    return requests.get(u).json()["a"]\nexcept KeyError:\n    return None', []],
  ])('DN7: %j: %j', (body, expected) => {
    expect(foundBy(httpStatusUnchecked, { 'src/a.py': `import requests\ndef f(u):\n${indented(body)}\n` })).toEqual(
      expected,
    )
  })

  test('DN7: a status that is only reported is looked at by whoever calls, or by nobody', () => {
    const send =
      'import httpx\ndef send(u):\n    r = httpx.post(u)\n    return {"status_code": r.status_code, "body": r.text}\n'
    expect(
      foundBy(httpStatusUnchecked, {
        'src/a.py': `${send}def go():\n    answer = send(U)\n    log(answer["status_code"])\n`,
      }),
    ).toEqual(['strong 3'])
    expect(
      foundBy(httpStatusUnchecked, {
        'src/a.py': `${send}def go():\n    answer = send(U)\n    if answer["status_code"] > 299:\n        again()\n`,
      }),
    ).toEqual([])
  })

  test.each([
    ['return Response(answer["body"], status_code=answer["status_code"])', []],
    ['return Response(answer.body, status_code=answer.status_code)', []],
    ['return Response(answer["body"], status_code=200)', ['strong 3']],
    ['keep(Attempt(status_code=answer["status_code"]))', ['strong 3']],
  ])('QM17: %s: %j', (last, expected) => {
    const send =
      'import httpx\ndef send(u):\n    r = httpx.post(u)\n    return {"status_code": r.status_code, "body": r.text}\n'
    expect(
      foundBy(httpStatusUnchecked, { 'src/a.py': `${send}def go():\n    answer = send(U)\n    ${last}\n` }),
    ).toEqual(expected)
  })
})

describe('client-per-request', () => {
  const service = (body: string): string =>
    `import httpx\nclass Api:\n    async def ask(self, path):\n${body.replace(/^/gm, '        ')}\n    async def list(self):\n        return await self.ask("/")\n`
  test.each([
    [service('async with httpx.AsyncClient() as client:\n    return await client.get(self.base + path)'), ['strong 4']],
    [service('client = httpx.AsyncClient()\nself.client = client\nreturn await client.get(self.base + path)'), []],
    [service('async with httpx.AsyncClient() as client:\n    return await client.get(url)'), ['strong 4']],
    [
      'import httpx\nasync def health():\n    async with httpx.AsyncClient() as c:\n        await c.get(u)\nasync def a():\n    await health()\nasync def b():\n    await health()\n',
      [],
    ],
    ['import httpx\nasync def once():\n    async with httpx.AsyncClient() as c:\n        await c.get(u)\n', []],
  ])('DN8: %j: %j', (source, expected) => {
    expect(foundBy(clientPerRequest, { 'src/api.py': source })).toEqual(expected)
  })

  const dependency = (made: string, decorator = ''): string =>
    `from aiokafka import AIOKafkaProducer\nfrom fastapi import Depends, FastAPI\napp = FastAPI()\n${decorator}async def get_producer():\n    producer = AIOKafkaProducer(bootstrap_servers="a")\n    ${made}\n@app.post("/a")\nasync def make(producer=Depends(get_producer)):\n    await producer.send_and_wait("t", b"")\n`
  test('DN15: a dependency makes its client for every request, unless it is kept', () => {
    expect(foundBy(clientPerRequest, { 'src/api.py': dependency('yield producer') })).toEqual(['strong 5'])
    expect(foundBy(clientPerRequest, { 'src/api.py': dependency('return producer', '@lru_cache\n') })).toEqual([])
    expect(
      foundBy(clientPerRequest, {
        'src/api.py': dependency('yield producer').replace('Depends(get_producer)', 'kept'),
      }),
    ).toEqual([])
  })

  const servicer = (made: string): string =>
    `import grpc\nimport b_pb2_grpc\nclass Orders(a_pb2_grpc.OrdersServicer):\n    def __init__(self):\n        self.channel = grpc.insecure_channel("b:1")\n    def Place(self, request, context):\n${made}\n        return stub.Take(request, timeout=2)\n`
  test('QL18: a channel of gRPC for one request, where its stub is made beside it', () => {
    const own = '        channel = grpc.insecure_channel("b:1")\n        stub = b_pb2_grpc.StockStub(channel)'
    const kept = '        stub = b_pb2_grpc.StockStub(self.channel)'
    expect(foundBy(clientPerRequest, { 'src/api.py': servicer(own) })).toEqual(['strong 7'])
    expect(foundBy(clientPerRequest, { 'src/api.py': servicer(kept) })).toEqual([])
    expect(foundBy(clientPerRequest, { 'src/api.py': servicer(own).replace('OrdersServicer', 'Orders') })).toEqual([])
  })

  const sent = (caller: string): string =>
    `import aiohttp\nasync def send(url, **more):\n    async with aiohttp.ClientSession() as session:\n        return await session.post(url, **more)\n${caller}`
  test.each([
    [sent('async def all(orders):\n    for order in orders:\n        await send(order.url)\n'), ['strong 3']],
    [
      sent('async def all(orders):\n    for order in orders:\n        await send(order.url)\n').replace(
        'ClientSession()',
        'ClientSession(transport=guarded)',
      ),
      [],
    ],
    [sent('async def one(order):\n    await send(order.url)\n'), []],
    [
      sent(
        'from fastapi import FastAPI\napp = FastAPI()\nasync def tell(order):\n    await send(order.url)\n@app.post("/a")\nasync def a(order):\n    await tell(order)\n',
      ),
      ['strong 3'],
    ],
    [
      'import httpx\nfrom fastapi import FastAPI\napp = FastAPI()\n@app.get("/a")\nasync def a(url):\n    async def parts():\n        async with httpx.AsyncClient() as c:\n            yield await c.get(url)\n    return StreamingResponse(parts())\n',
      ['strong 7'],
    ],
  ])('QU5: %j: %j', (source, expected) => {
    expect(foundBy(clientPerRequest, { 'src/api.py': source })).toEqual(expected)
  })

  const provider = (bases: string, name = 'complete_text'): string =>
    `import httpx\nclass Provider${bases}:\n    def ${name}(self, text):\n        with httpx.Client(timeout=5) as client:\n            return client.post(self.base, json=text)\n`
  test('QU5: what is called through the interface of its class', () => {
    const used = 'def answer(text):\n    return chosen().complete_text(text)\n'
    const found = (source: string): readonly string[] =>
      foundBy(clientPerRequest, { 'src/a.py': source, 'src/b.py': used })
    expect(found(provider('(Base)'))).toEqual(['strong 4'])
    expect(found(provider(''))).toEqual([])
    expect(found(provider('(Base)', 'embed_text'))).toEqual([])
    const asked = (call: string): readonly string[] =>
      foundBy(clientPerRequest, {
        'src/a.py': provider('(Base)', 'embed'),
        'src/b.py': `def f(t):\n    return ${call}\n`,
      })
    expect(asked('chosen.provider.embed(t)')).toEqual(['strong 4'])
    expect(asked('video.embed(t)')).toEqual([])
  })

  const getter = (made: string, decorator = ''): string =>
    `from pymongo import MongoClient\n${decorator}def get_orders():\n    ${made}\n    return client["shop"]["orders"]\n`
  const asks =
    'def find(id):\n    return get_orders().find_one(id)\ndef keep(order):\n    get_orders().insert_one(order)\n'
  test.each([
    [`${getter('client = MongoClient(ADDRESS)')}${asks}`, ['strong 3']],
    [`${getter('client = MongoClient(ADDRESS)', '@lru_cache\n')}${asks}`, []],
    [`${getter('client = MongoClient(ADDRESS)')}orders = get_orders()\n`, []],
    [`client = None\n${getter('global client\n    client = MongoClient(ADDRESS)')}${asks}`, []],
  ])('QU6: %j: %j', (source, expected) => {
    expect(foundBy(clientPerRequest, { 'src/store.py': source })).toEqual(expected)
  })

  test('DN8: a function with the loop that takes messages makes its client once', () => {
    const source =
      'from aiokafka import AIOKafkaConsumer, AIOKafkaProducer\nasync def take():\n    consumer = AIOKafkaConsumer("a", group_id="g")\n    producer = AIOKafkaProducer()\n    async for m in consumer:\n        await producer.send_and_wait("t", m.value)\n'
    expect(foundBy(clientPerRequest, { 'src/work.py': source })).toEqual([])
  })

  test('DN8: a pool of connections in a route', () => {
    const route = (body: string): string =>
      `import express from 'express'\nimport { Pool } from 'pg'\nconst app = express()\napp.get('/a', async function list(req, res) {\n${body}\n})\n`
    expect(
      foundBy(clientPerRequest, {
        'src/a.ts': route("const pool = new Pool()\nres.json(await pool.query('SELECT 1'))"),
      }),
    ).toEqual(['strong 5'])
    expect(
      foundBy(clientPerRequest, {
        'src/a.ts': route("const pool = new Pool()\nkeep(pool)\nres.json(await pool.query('SELECT 1'))"),
      }),
    ).toEqual([])
  })
})

describe('unbounded-wait', () => {
  const pool = (body: string): string =>
    `import asyncio\nclass Pool:\n    def __init__(self):\n        self.free = asyncio.Queue()\n        self.lock = asyncio.Lock()\n    async def take(self):\n${indented(indented(body))}\n`
  test.each([
    [pool('async with self.lock:\n    return await self.free.get()'), ['strong 8']],
    [pool('async with self.lock:\n    if full:\n        return await self.free.get()'), ['strong 9']],
    [pool('return await self.free.get()'), []],
    [pool('async with self.lock:\n    count()\nreturn await self.free.get()'), []],
    [pool('async with self.lock:\n    return await asyncio.wait_for(self.free.get(), 5)'), []],
    [pool('async with self.lock:\n    return self.free.get_nowait()'), []],
    [pool('async with self.lock:\n    return self.other.get()'), []],
    ['import requests\nlock = Lock()\ndef f():\n    with lock:\n        return requests.get(u)\n', ['strong 5']],
    ['import requests\nlock = Lock()\ndef f():\n    with lock:\n        return requests.get(u, timeout=5)\n', []],
    [
      'import aiohttp\nasync def f(lock):\n    async with lock:\n        async with aiohttp.ClientSession() as s:\n            return await s.get(u)\n',
      [],
    ],
  ])('DN9: %j: %j', (source, expected) => {
    expect(foundBy(unboundedWait, { 'src/pool.py': source })).toEqual(expected)
  })

  test.each([
    ['export const f = () => mutex.runExclusive(async () => { await fetch(u) })', ['strong 1']],
    ['export const f = () => mutex.runExclusive(async () => { await fetch(u, { signal }) })', []],
    ['export const f = () => later.run(async () => { await fetch(u) })', []],
  ])('DN9: %j: %j', (source, expected) => {
    expect(foundBy(unboundedWait, { 'src/pool.ts': source })).toEqual(expected)
  })
})

describe('no-429-handling', () => {
  const api = (rest: string): string =>
    `import httpx\nBASE = "https://api.github.com"\ndef ask(path):\n    r = httpx.get(BASE + path)\n    if r.status_code >= 400:\n        raise Failed(r.text)\n    return r.json()\ndef a():\n    return ask("/a")\ndef b():\n    return ask("/b")\n${rest}`
  test('DN10: of the one function that a client goes through', () => {
    expect(foundBy(no429Handling, { 'src/api.py': api('') })).toEqual(['review 5', 'review 4'])
    expect(foundBy(no429Handling, { 'src/api.py': api('# waits on 429\n') })).toEqual([])
    expect(foundBy(no429Handling, { 'src/api.py': api('').replace('api.github.com', 'stock.internal') })).toEqual([])
    expect(foundBy(no429Handling, { 'src/api.py': api('').slice(0, api('').indexOf('def b')) })).toEqual([])
  })
})

describe('workflow-step-no-timeout', () => {
  const app = (more: string): string =>
    `from celery import Celery\napp = Celery("a")\n${more}@app.task\ndef work():\n    pass\n`
  test('DN12: Celery without a limit', () => {
    expect(foundBy(workflowStepNoTimeout, { 'src/tasks.py': app('') })).toEqual(['strong 2'])
    expect(foundBy(workflowStepNoTimeout, { 'src/tasks.py': app('app.conf.task_time_limit = 60\n') })).toEqual([])
    expect(
      foundBy(workflowStepNoTimeout, { 'src/tasks.py': app(''), 'src/settings.py': 'CELERY_TASK_TIME_LIMIT = 60\n' }),
    ).toEqual([])
  })

  test('DN12: a runner of its own', () => {
    const runner = (more: string): string =>
      `import { log } from './log'\nexport class WorkflowEngine {\n  async executeWorkflow(workflow) {\n    for (const step of workflow.steps) {\n      ${more}\n    }\n  }\n}\n`
    expect(foundBy(workflowStepNoTimeout, { 'src/engine.ts': runner('await this.executeStep(step)') })).toEqual([
      'review 5',
    ])
    expect(
      foundBy(workflowStepNoTimeout, { 'src/engine.ts': runner('await withTimeout(this.executeStep(step), 5)') }),
    ).toEqual([])
  })
})
