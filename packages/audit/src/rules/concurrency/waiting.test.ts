import { expect, test } from 'vitest'
import { blockingInAsync } from './blocking-in-async.ts'
import { foundBy } from './found.fixture.ts'
import { overlappingInterval } from './overlapping-interval.ts'
import { txWithOutbound } from './tx-with-outbound.ts'

const POLLER = (body: string, start = 'setInterval(() => this.poll(), 5000)') => `export class Poller {
  start() { ${start} }
  async poll() {
${body}
  }
}`

test.each([
  [
    '    if (this.running) return\n    this.running = true\n    try { await fetch("https://a.test") } finally { this.running = false }',
    [],
  ],
  ['    return mutex.runExclusive(() => fetch("https://a.test"))', []],
  ['    this.count += 1', []],
])('CU9: %j is %j', (body, expected) => {
  expect(foundBy(overlappingInterval, { 'a.ts': POLLER(body) })).toEqual(expected)
})

test('CU9: a page, and a round every hour, are silent', () => {
  const round = '    await fetch("https://a.test")'
  expect(foundBy(overlappingInterval, { 'a.ts': `import { useState } from 'react'\n${POLLER(round)}` })).toEqual([])
  expect(foundBy(overlappingInterval, { 'a.ts': POLLER(round, 'setInterval(() => this.poll(), 3600000)') })).toEqual([])
})

test.each([
  ['    await fetch("https://a.test", { signal: AbortSignal.timeout(2000) })', []],
  ['    await fetch("https://a.test", { signal: AbortSignal.timeout(this.timeoutMs) })', []],
  ['    await fetch("https://a.test", { signal: AbortSignal.timeout(9000) })', ['strong a.ts:2']],
  [
    '    await fetch("https://a.test", { signal: AbortSignal.timeout(3000) })\n    await fetch("https://b.test", { signal: AbortSignal.timeout(3000) })',
    ['strong a.ts:2'],
  ],
  ['    for (const at of this.all) await fetch(at, { signal: AbortSignal.timeout(2000) })', ['strong a.ts:2']],
  [
    '    await fetch("https://a.test", { signal: AbortSignal.timeout(2000) })\n    await fetch("https://b.test")',
    ['strong a.ts:2'],
  ],
])('QV8: %j every 5 s is %j', (body, expected) => {
  expect(foundBy(overlappingInterval, { 'a.ts': POLLER(body) })).toEqual(expected)
})

test('CU9: a schedule of Nest is told by the name of its expression', () => {
  const source = (expression: string): string =>
    `import { Cron, CronExpression } from '@nestjs/schedule'\nclass Rounds {\n  @Cron(CronExpression.${expression})\n  async round() { await fetch('https://a.test') }\n}`
  expect(foundBy(overlappingInterval, { 'a.ts': source('EVERY_10_SECONDS') })).toEqual(['strong a.ts:3'])
  expect(foundBy(overlappingInterval, { 'a.ts': source('EVERY_DAY_AT_1AM') })).toEqual([])
})

test('CU9: what wraps the round may keep its rounds apart', () => {
  const source = (round: string): string => `const poll = ${round}\nsetInterval(poll, 5000)`
  const round = 'async () => { await fetch("https://a.test") }'
  expect(foundBy(overlappingInterval, { 'a.ts': source(round) })).toEqual(['strong a.ts:2'])
  expect(foundBy(overlappingInterval, { 'a.ts': source(`single(${round})`) })).toEqual([])
})

test.each([
  ['    await fetch("https://a.test")', ['strong a.ts:2']],
  ['    const known = list()\n    if (known) await fetch("https://a.test")', ['strong a.ts:2']],
  ['    await this.store.sweep()', ['review a.ts:2']],
])('CU10: %j is %j', (body, expected) => {
  expect(foundBy(overlappingInterval, { 'a.ts': POLLER(body) })).toEqual(expected)
})

test.each([
  [
    'a.ts',
    'export const f = () => prisma.$transaction(async (tx) => {\n  await tx.order.create({ data: {} })\n  await fetch("https://pay.test", { method: "POST" })\n})',
    ['strong a.ts:3'],
  ],
  [
    'a.ts',
    'async function charge() { await fetch("https://pay.test") }\nexport const f = () => prisma.$transaction(async (tx) => {\n  await charge()\n})',
    ['strong a.ts:3'],
  ],
  [
    'a.ts',
    'export async function f(client) {\n  await client.query("BEGIN")\n  await fetch("https://pay.test")\n  await client.query("COMMIT")\n}',
    ['strong a.ts:3'],
  ],
  [
    'a.ts',
    'export async function f(client) {\n  await client.query("BEGIN")\n  await client.query("COMMIT")\n  await fetch("https://pay.test")\n}',
    [],
  ],
  ['a.ts', 'export const f = () => prisma.$transaction(async (tx) => {\n  await tx.order.create({ data: {} })\n})', []],
  [
    'a.py',
    'import requests\nfrom django.db import transaction\ndef f():\n    with transaction.atomic():\n        requests.post("https://pay.test")\n',
    ['strong a.py:5'],
  ],
  [
    'a.py',
    'import requests\nfrom django.db import transaction\ndef f():\n    with transaction.atomic():\n        save()\n    requests.post("https://pay.test")\n',
    [],
  ],
])('CU11: %s %j is %j', (path, text, expected) => {
  expect(foundBy(txWithOutbound, { [path]: text })).toEqual(expected)
})

test.each([
  ['session.get(A, 1)\n        requests.post("https://pay.test")', ['strong a.py:5']],
  ['session.get(A, 1)\n        charge()', ['strong a.py:5']],
  ['session.add(A())\n        session.commit()\n        requests.post("https://pay.test")', []],
  ['requests.post("https://pay.test")\n        session.get(A, 1)', []],
  ['session.get(A, 1)\n    requests.post("https://pay.test")', []],
  ['cache.get(A, 1)\n        requests.post("https://pay.test")', []],
])('QL5: in a session %j is %j', (body, expected) => {
  const text = `import requests\ndef f():\n    with get_session() as session:\n        ${body}\ndef charge():\n    requests.post("https://pay.test")\n`
  expect(foundBy(txWithOutbound, { 'a.py': text })).toEqual(expected)
})

test.each([
  ['import time\nasync def f():\n    time.sleep(1)\n', ['strong a.py:2']],
  ['import requests\nasync def f():\n    return requests.get("https://a.test")\n', ['strong a.py:2']],
  ['from redis import Redis\nclient = Redis()\nasync def f():\n    client.ping()\n', ['strong a.py:3']],
  ['import subprocess\ndef g():\n    subprocess.run(["ls"])\nasync def f():\n    g()\n', ['strong a.py:4']],
  [
    'from sqlalchemy import create_engine\nfrom sqlalchemy.orm import sessionmaker\nLocal = sessionmaker(bind=create_engine("x"))\nasync def f():\n    session = Local()\n    session.execute(query)\n',
    ['strong a.py:4'],
  ],
  [
    'from sqlmodel import Session, select\nasync def f(db: Session):\n    db.exec(select(A)).all()\n',
    ['strong a.py:2'],
  ],
  [
    'from typing import Annotated\nfrom sqlmodel import Session\ndef save(db: Session):\n    db.add(1)\n    db.commit()\nasync def f(db: Annotated[Session, Depends(g)]):\n    save(db)\nasync def h(db: Annotated[Session, Depends(g)]):\n    db.commit()\n',
    ['strong a.py:6'],
  ],
  [
    'import requests\ndef fetch():\n    return requests.get("https://a.test")\ndef verify():\n    return fetch()\nasync def f():\n    return verify()\n',
    ['strong a.py:6'],
  ],
  ['import stripe\nasync def f():\n    return stripe.checkout.Session.create(mode="payment")\n', ['strong a.py:2']],
  ['import stripe\nasync def f():\n    return await stripe.checkout.Session.create_async(mode="payment")\n', []],
  [
    'from sqlmodel.ext.asyncio.session import AsyncSession\nasync def f(db: AsyncSession):\n    await db.exec(q)\n    db.commit()\n',
    [],
  ],
  ['import time\ndef f():\n    time.sleep(1)\n', []],
  ['import asyncio, requests\nasync def f():\n    await asyncio.to_thread(requests.get, "https://a.test")\n', []],
  ['import redis.asyncio as redis\nclient = redis.Redis()\nasync def f():\n    await client.ping()\n', []],
  [
    'from sqlalchemy.ext.asyncio import AsyncSession\nasync def f(session):\n    await session.execute(query)\n    session.add(row)\n',
    [],
  ],
  ['import time\nasync def f():\n    time.sleep(1)\nif __name__ == "__main__":\n    asyncio.run(f())\n', []],
])('CU12: %j is %j', (text, expected) => {
  expect(foundBy(blockingInAsync, { 'a.py': text })).toEqual(expected)
})

test.each([
  ['import shutil\nasync def f(up, out):\n    shutil.copyfileobj(up.file, out)\n', ['strong a.py:2']],
  ['import psutil\nasync def f():\n    return psutil.cpu_percent(interval=0.5)\n', ['strong a.py:2']],
  ['import psutil\nasync def f():\n    return psutil.cpu_percent() + psutil.cpu_percent(interval=None)\n', []],
  ['import feedparser\nasync def f(ask):\n    return feedparser.parse(ask.feed_url)\n', ['strong a.py:2']],
  ['import feedparser\nasync def f(text):\n    return feedparser.parse(text)\n', []],
  [
    'from work import app\nasync def f():\n    seen = app.control.inspect()\n    return seen.active()\n',
    ['strong a.py:2'],
  ],
  ['from work import app\nasync def f():\n    seen = app.inspect()\n    return seen.active()\n', []],
])('QL3, CU12: %j is %j', (text, expected) => {
  expect(foundBy(blockingInAsync, { 'a.py': text })).toEqual(expected)
})

test('CU12: a session of a function that hands one out is synchronous as well', () => {
  const texts = {
    'app/db.py':
      'import contextlib\nfrom sqlalchemy import create_engine\nfrom sqlalchemy.orm import sessionmaker\nLocal = sessionmaker(bind=create_engine("x"))\n@contextlib.contextmanager\ndef Session():\n    db = Local()\n    yield db\n',
    'app/a.py': 'from app.db import Session\nasync def f(session: Session):\n    session.commit()\n',
    'work/b.py':
      'import sqlmodel\nfrom app.db import Session\nasync def f():\n    with next(Session()) as session:\n        session.commit()\n',
  }
  expect(foundBy(blockingInAsync, texts)).toEqual(['strong app/a.py:2', 'strong work/b.py:3'])
})

const ROUTE = (body: string, before = '') =>
  `import express from 'express'\nimport fs from 'node:fs'\nimport { execSync } from 'node:child_process'\nconst app = express()\n${before}\napp.get('/a', async (req, res) => {\n${body}\n})`

test.each([
  [ROUTE('  res.end(execSync("uptime"))'), ['strong a.ts:7']],
  [ROUTE('  res.end(genSaltSync(10))', "import { genSaltSync } from 'bcrypt'"), ['strong a.ts:7']],
  [ROUTE('  res.end(render())', 'function render() { return fs.readFileSync("a.html") }'), ['strong a.ts:5']],
  [ROUTE('  res.end(page)', 'const page = fs.readFileSync("a.html")'), []],
  [ROUTE('  if (!page) page = fs.readFileSync("a.html")\n  res.end(page)', 'let page'), []],
])('CU13: %j is %j', (text, expected) => {
  expect(foundBy(blockingInAsync, { 'a.ts': text })).toEqual(expected)
})

const KEEPER = `import redis
_kept = None
def client():
    global _kept
    if _kept is None:
        _kept = redis.Redis(host="r")
    return _kept
def read(key):
    here = client()
    return here.get(key)
`
const ASKED = 'from keeper import read\nasync def show(key):\n    return read(key)\n'
const LAYERS = `from shared import Base
class Desk(Base):
    def act(self, given):
        return super().act(given)
class Front:
    def __init__(self):
        self.desk = Desk()
    async def serve(self, given):
        return self.desk.act(given)
`
const SHARED = `import requests
class Model:
    def ask(self, text):
        return self._send(text)
    def _send(self, text):
        return requests.post("https://a.test", json=text)
class Base:
    def __init__(self, model: Model):
        self.model = model
    def act(self, given):
        return self.model.ask(given)
`
test.each([
  ['a client that a function keeps', { 'keeper.py': KEEPER, 'a.py': ASKED }, ['strong a.py:2']],
  [
    'a client that a function makes',
    { 'keeper.py': KEEPER.replace('return _kept', 'return redis.Redis(host="r")'), 'a.py': ASKED },
    ['strong a.py:2'],
  ],
  [
    'one of the asynchronous kind',
    { 'keeper.py': KEEPER.replace('import redis', 'import redis.asyncio as redis'), 'a.py': ASKED },
    [],
  ],
  ['one that nobody knows', { 'keeper.py': KEEPER.replace('redis.Redis', 'Store'), 'a.py': ASKED }, []],
  ['behind the layers of a class', { 'shared.py': SHARED, 'a.py': LAYERS }, ['strong a.py:8']],
  ['layers that ask nobody', { 'shared.py': SHARED.replace('requests.post', 'shape'), 'a.py': LAYERS }, []],
  [
    'layers that call each other',
    { 'shared.py': SHARED.replace('requests.post("https://a.test", json=text)', 'self.ask(text)'), 'a.py': LAYERS },
    [],
  ],
  [
    'what a session is asked for',
    { 'a.py': 'from sqlmodel import Session\nasync def show(db: Session, key):\n    return db.get(User, key)\n' },
    ['strong a.py:2'],
  ],
  ['what a dict is asked for', { 'a.py': 'async def show(db: dict, key):\n    return db.get(key, 1)\n' }, []],
] as const)('QW4, CU12: %s', (_what, texts, expected) => {
  expect(foundBy(blockingInAsync, texts)).toEqual(expected)
})

test('QT9: an event that is awaited within a transaction leaves the process, one that is not awaited does not hold it', () => {
  const within = (body: string): readonly string[] =>
    foundBy(txWithOutbound, { 'a.ts': `await db.transaction(async (tx) => {\n  await tx.save(row)\n  ${body}\n})` })
  expect(within("await channel.publish('made', row)")).toEqual(['strong a.ts:3'])
  expect(within('await accounts.auth.admin.signOut(id)')).toEqual(['strong a.ts:3'])
  expect(within("channel.publish('made', row)")).toEqual([])
})

test('QW10: a loop that one function has for itself', () => {
  const job = (run: string): string =>
    `import asyncio\nimport requests\ndef job():\n    async def inner():\n        requests.get("https://a.test")\n    ${run}\n`
  expect(foundBy(blockingInAsync, { 'a.py': job('asyncio.run(inner())') })).toEqual([])
  expect(foundBy(blockingInAsync, { 'a.py': job('loop.create_task(inner())') })).toEqual(['strong a.py:4'])
})
