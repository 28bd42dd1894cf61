import { expect, test } from 'vitest'
import { cacheStampede } from './cache-stampede.ts'
import { foundBy } from './found.fixture.ts'
import { lockNoExpiry } from './lock-no-expiry.ts'
import { overwriteOnCreate } from './overwrite-on-create.ts'
import { redisKeysBlocking } from './redis-keys-blocking.ts'

test.each([
  [
    'a.ts',
    "import Redis from 'ioredis'\nconst c = new Redis()\nexport const all = () => c.keys('a:*')",
    ['strong a.ts:3'],
  ],
  [
    'a.py',
    'class Store:\n    async def all(self, pattern):\n        return await self.redis.keys(pattern)\n',
    ['strong a.py:3'],
  ],
  ['a.ts', "export const all = (client) => client.keys('a:*')", ['review a.ts:1']],
  [
    'a.py',
    'from django.core.cache import cache\ndef count(who):\n    return len(cache.keys(f"open:{who}:*"))\n',
    ['strong a.py:3'],
  ],
  ['a.ts', 'export const all = (redisOptions) => Object.keys(redisOptions)', []],
  ['a.py', 'def all(redis_settings):\n    return redis_settings.keys()\n', []],
  ['a.py', 'def all(redis):\n    return redis.keys()\n', []],
  [
    'a.ts',
    "import Redis from 'ioredis'\nconst c = new Redis()\nexport const all = () => c.scan(0, 'MATCH', 'a:*')",
    [],
  ],
])('CU8: %s %j is %j', (path, text, expected) => {
  expect(foundBy(redisKeysBlocking, { [path]: text })).toEqual(expected)
})

const LOCK = (body: string) => `export class Job {\n  async run(id: string) {\n${body}\n  }\n}`

test.each([
  ['a.ts', LOCK('    await this.redis.setnx("lock:" + id, "1")'), ['strong a.ts:3']],
  ['a.ts', LOCK('    await this.redis.set("lock:" + id, "1", "NX")'), ['strong a.ts:3']],
  [
    'a.ts',
    LOCK('    await this.redis.setnx("lock:" + id, "1")\n    await this.redis.expire("lock:" + id, 30)'),
    ['strong a.ts:3'],
  ],
  ['a.ts', LOCK('    await this.redis.set("lock:" + id, "1", "EX", 30, "NX")'), []],
  ['a.ts', LOCK('    await this.redis.set("lock:" + id, "1", { NX: true, PX: 3000 })'), []],
  ['a.ts', LOCK('    await this.redis.set("lock:" + id, "1", options)'), []],
  ['a.ts', LOCK('    await this.redis.setnx("name:" + id, "1")').replace('Job', 'Names'), []],
  ['a.py', 'def run(redis_client):\n    redis_client.set("lock:a", "1", nx=True)\n', ['strong a.py:2']],
  ['a.py', 'def run(redis_client):\n    redis_client.set("lock:a", "1", nx=True, ex=30)\n', []],
  ['a.py', 'def run(redis_client):\n    with redis_client.lock("a"):\n        work()\n', ['strong a.py:2']],
  ['a.py', 'def run(redis_client):\n    with redis_client.lock("a", timeout=30):\n        work()\n', []],
])('CU14: %s %j is %j', (path, text, expected) => {
  expect(foundBy(lockNoExpiry, { [path]: text })).toEqual(expected)
})

test('CU15: a lock with a token is deleted without a look at it', () => {
  const take = '    const token = randomUUID()\n    await this.redis.set("lock:" + id, token, "PX", 3000, "NX")\n'
  expect(foundBy(lockNoExpiry, { 'a.ts': LOCK(`${take}    await this.redis.del("lock:" + id)`) })).toEqual([
    'strong a.ts:5',
  ])
  const look = '    if ((await this.redis.get("lock:" + id)) === token) await this.redis.del("lock:" + id)'
  expect(foundBy(lockNoExpiry, { 'a.ts': LOCK(take + look) })).toEqual([])
})

const ROOMS = (name: string, body: string) =>
  `export class Rooms {\n  async ${name}(room: { id: string }) {\n${body}\n  }\n}`

test.each([
  ['createRoom', '    await this.redis.setex("room:" + room.id, 60, JSON.stringify(room))', ['strong a.ts:3']],
  [
    'createRoom',
    '    if (await this.redis.exists("room:" + room.id)) throw new Error("there")\n    await this.redis.setex("room:" + room.id, 60, JSON.stringify(room))',
    [],
  ],
  ['createRoom', '    await this.redis.set("room:" + room.id, JSON.stringify(room), "NX")', []],
  ['createRoom', '    const id = randomUUID()\n    await this.redis.set("room:" + id, JSON.stringify(room))', []],
  ['saveRoom', '    await this.redis.setex("room:" + room.id, 60, JSON.stringify(room))', []],
  ['createToken', '    await this.redis.setex("room:" + room.id, 60, JSON.stringify(room))', []],
])('CU16: %s with %j is %j', (name, body, expected) => {
  expect(foundBy(overwriteOnCreate, { 'a.ts': ROOMS(name, body) })).toEqual(expected)
})

test('CU20: a cache that everybody fills over HTTP is for review, a lock keeps it silent', () => {
  const route = (before: string) => `import express from 'express'
import Redis from 'ioredis'
const app = express()
const redis = new Redis()
app.get('/rates', async (req, res) => {
  const kept = await redis.get('rates')
  if (kept) return res.json(kept)
${before}  const answer = await fetch('https://rates.test')
  await redis.set('rates', await answer.text(), 'EX', 60)
})`
  expect(foundBy(cacheStampede, { 'a.ts': route('') })).toEqual(['review a.ts:8'])
  expect(foundBy(cacheStampede, { 'a.ts': route('  await lock.acquire()\n') })).toEqual([])
})
