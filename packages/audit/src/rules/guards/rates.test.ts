import { expect, test } from 'vitest'
import { findAll } from '../../findings/findings.ts'
import { repositoryOf } from '../../repository/repository.fixture.ts'
import { EXPRESS, found, LIMIT } from './guards.fixture.ts'
import { guardsRules } from './index.ts'

test.each([
  ['rate-limit-in-memory', `${LIMIT}export const l = rateLimit({ max: 5 })`, 'a/a.ts', ['strong a/a.ts:2']],
  ['rate-limit-in-memory', `${LIMIT}export const l = rateLimit({ max: 5, store: new RedisStore({}) })`, 'a/a.ts', []],
  ['rate-limit-in-memory', `${LIMIT}export const l = rateLimit({ max: 5, ...more })`, 'a/a.ts', []],
  [
    'rate-limit-in-memory',
    'from slowapi import Limiter\nlimiter = Limiter(key_func=address)\n',
    'a/a.py',
    ['strong a/a.py:2'],
  ],
  [
    'rate-limit-in-memory',
    'from slowapi import Limiter\nlimiter = Limiter(key_func=address, storage_uri="redis://r")\n',
    'a/a.py',
    [],
  ],
  [
    'rate-limit-in-memory',
    "import limit from '@fastify/rate-limit'\nawait app.register(limit, { max: 5 })\nawait app.register(limit, { max: 5, redis })",
    'a/a.ts',
    ['strong a/a.ts:2'],
  ],
  [
    'rate-limit-in-memory',
    "import { ThrottlerModule } from '@nestjs/throttler'\nconst m = ThrottlerModule.forRoot([{ ttl: 1, limit: 1 }])",
    'a/a.ts',
    ['strong a/a.ts:2'],
  ],
  [
    'rate-limit-in-memory',
    "import { ThrottlerModule, ThrottlerGuard } from '@nestjs/throttler'\nclass G extends ThrottlerGuard {}\nconst m = ThrottlerModule.forRoot([{ ttl: 1, limit: 1 }])",
    'a/a.ts',
    [],
  ],
  [
    'rate-limit-in-memory',
    "import { RateLimiterMemory, RateLimiterRedis } from 'rate-limiter-flexible'\nconst i = new RateLimiterMemory({})\nconst r = new RateLimiterRedis({ insuranceLimiter: i })",
    'a/a.ts',
    [],
  ],
  [
    'rate-limiter-hard-dependency',
    `${LIMIT}export const l = rateLimit({ max: 5, store: new RedisStore({}) })`,
    'a/a.ts',
    ['strong a/a.ts:2'],
  ],
  [
    'rate-limiter-hard-dependency',
    `${LIMIT}export const l = rateLimit({ store: new RedisStore({}), passOnStoreError: true })`,
    'a/a.ts',
    [],
  ],
  [
    'rate-limiter-hard-dependency',
    'from slowapi import Limiter\nlimiter = Limiter(storage_uri="redis://r")\n',
    'a/a.py',
    ['strong a/a.py:2'],
  ],
  [
    'rate-limiter-hard-dependency',
    'from slowapi import Limiter\nlimiter = Limiter(storage_uri="redis://r", in_memory_fallback_enabled=True)\n',
    'a/a.py',
    [],
  ],
] as const)('RZ1, RZ2: %s of %j', (rule, source, file, expected) => {
  expect(found(rule, { [file]: source })).toEqual(expected)
})

const OWN_PY = `from collections import defaultdict
from web import HTTPException
seen = defaultdict(list)

def rate_limited(who, at):
    mine = seen[who]
    mine.append(at)
    if len(mine) > 5:
        raise HTTPException(status_code=429)
`
const OWN_JS = `export function rateLimit(most) {
  const counts = new Map()
  return (q, r, next) => {
    counts.set(q.ip, (counts.get(q.ip) ?? 0) + 1)
    if (counts.get(q.ip) > most) return r.status(429).end()
    next()
  }
}
`
const BUCKET = `class TokenBucket:
    def __init__(self, most):
        self._tokens = most
    def take(self):
        self._tokens -= 1
        return self._tokens > 0
`
const BEFORE = `from buckets import TokenBucket
class Before:
    def __init__(self):
        self.all = TokenBucket(5)
    def ask(self):
        if not self.all.take():
            return answer(status=429)
`
test.each([
  ['a dict of the module', { 'limits.py': OWN_PY }, ['strong limits.py:3']],
  ['what a middleware closes over', { 'web.js': OWN_JS }, ['strong web.js:2']],
  [
    'a field of a class',
    {
      'web.js':
        'class RateLimiter {\n  hits = {}\n  take(k) {\n    this.hits[k] = (this.hits[k] ?? 0) + 1\n    if (this.hits[k] > 9) throw new HttpException(429)\n  }\n}',
    },
    ['strong web.js:2'],
  ],
  ['one bucket for everybody', { 'buckets.py': BUCKET + BEFORE.replace(/^from.*\n/, '') }, ['strong buckets.py:1']],
  ['no answer of 429', { 'limits.py': OWN_PY.replace('429', '500') }, []],
  ['named for no limit', { 'a.py': OWN_PY.replace('rate_limited', 'collect') }, []],
  ['beside a shared store', { 'limits.py': `import redis\n${OWN_PY}` }, []],
  [
    'beside a client of a shared store',
    { 'web.js': OWN_JS.replace('counts.set', 'redisClient.incr(q.ip); counts.set') },
    [],
  ],
  [
    'what one call fills',
    {
      'web.js': OWN_JS.replace(
        '  const counts = new Map()\n  return (q, r, next) => {',
        '  return (q, r, next) => {\n  const counts = new Map()',
      ),
    },
    [],
  ],
  ['a bucket that nobody answers by', { 'buckets.py': BUCKET, 'b.py': BEFORE.replace('429', '200') }, []],
  [
    'a bucket for each',
    { 'buckets.py': BUCKET + BEFORE.replace(/^from.*\n/, '').replace('self.all = ', 'all = ') },
    [],
  ],
] as const)('QW2: a limiter of their own: %s', (_what, texts, expected) => {
  expect(found('rate-limit-in-memory', texts)).toEqual(expected)
})

const QUOTA = `async def check_quota(request, call_next):
    try:
        if await used(request) > 9:
            raise HTTPException(status_code=429)
    except HTTPException:
        raise
    except Exception as e:
        logger.error(e)
    return await call_next(request)
`
test.each([
  ['a.py', QUOTA, ['strong a.py:7']],
  ['a.py', QUOTA.replace('logger.error(e)', 'pass  # do not block anybody'), ['review a.py:7']],
  ['a.py', QUOTA.replace('status_code=429', 'status_code=500'), []],
  ['a.py', QUOTA.replace('check_quota', 'greet'), []],
  ['a.py', QUOTA.replace('logger.error(e)', 'raise'), []],
  [
    'a.js',
    'export const rateLimit = async (q, r, next) => {\n  try { await hit(q) } catch (e) {\n    log(e)\n    next()\n  }\n}',
    ['strong a.js:4'],
  ],
  [
    'a.js',
    'export const rateLimit = async (q, r, next) => {\n  try { await hit(q) } catch (e) {\n    next(e)\n  }\n}',
    [],
  ],
] as const)('QW3: %s: %j has %j', (file, source, expected) => {
  expect(found('rate-limiter-fail-open', { [file]: source })).toEqual(expected)
})

test('RZ1: with replicas or processes a limit in memory is worse', () => {
  const rules = guardsRules.filter(({ meta }) => meta.id === 'rate-limit-in-memory')
  const severity = (service: string): string | undefined => {
    const texts = {
      'a/a.ts': `${LIMIT}export const l = rateLimit({ max: 5 })`,
      'compose.yml': `services:\n  a:\n    build: ./a\n${service}`,
    }
    return findAll(rules, repositoryOf(texts), 0).findings[0]?.severity
  }
  expect(severity('')).toBe('low')
  expect(severity('    deploy:\n      replicas: 3\n')).toBe('high')
  expect(severity('    command: uvicorn a --workers 4\n')).toBe('high')
})

test.each([
  [
    'async function checkRateLimit(k) {\n  try { return await hit(k) } catch (e) {\n    log(e)\n    return { allowed: true }\n  }\n}',
    ['strong a.ts:4'],
  ],
  [
    'async function checkRateLimit(k) {\n  try { return await hit(k) } catch (e) {\n    // fail open\n    return { allowed: true }\n  }\n}',
    ['review a.ts:4'],
  ],
  [
    'async function checkRateLimit(k) {\n  try { return await hit(k) } catch (e) {\n    return { allowed: false }\n  }\n}',
    [],
  ],
  [
    'async function checkMail(k) {\n  try { return await hit(k) } catch (e) {\n    return { allowed: true }\n  }\n}',
    [],
  ],
])('RZ3: %j has %j', (source, expected) => {
  expect(found('rate-limiter-fail-open', { 'a.ts': source })).toEqual(expected)
})

test.each([
  ['class A:\n    def __init__(self):\n        self._rate_limiter = asyncio.Semaphore(5)\n', ['strong a.py:3']],
  ['class A:\n    def __init__(self):\n        self._slots = asyncio.Semaphore(5)\n', []],
  [
    'class A:\n    def __init__(self):\n        self.rate = asyncio.Semaphore(5)\n    async def go(self):\n        await self.rate.acquire()\n        await asyncio.sleep(1)\n        self.rate.release()\n',
    [],
  ],
])('RZ4: %j has %j', (source, expected) => {
  expect(found('concurrency-not-rate', { 'a.py': source })).toEqual(expected)
})

const LOGIN = `${EXPRESS}app.post('/login', async (q, r) => {\n  const ok = await bcrypt.compare(q.body.password, user.hash)\n  r.json({ ok })\n})\n`
test.each([
  [{ 'a.js': LOGIN }, ['strong a.js:4']],
  [{ 'a.js': `${LIMIT}${LOGIN}app.use(rateLimit({ max: 5 }))` }, []],
  [{ 'a.js': LOGIN, 'nginx/nginx.conf': 'limit_req_zone $binary_remote_addr zone=a:1m rate=1r/s;' }, []],
  [{ 'a.js': LOGIN.replace('bcrypt.compare', 'provider.exchange') }, []],
  [{ 'a.js': LOGIN.replace('/login', '/compare') }, []],
  [{ 'a.js': `import { verify } from 'argon2'\n${LOGIN.replace('bcrypt.compare', 'verify')}` }, ['strong a.js:5']],
  [{ 'a.js': `import { verify } from './proofs'\n${LOGIN.replace('bcrypt.compare', 'verify')}` }, []],
  [
    {
      'a.js': `import { Hono } from 'hono'\nexport const app = new Hono()\n  .get('/x', (c) => c.text(''))\n  .post('/login', async (c) => {\n    const ok = await bcrypt.compare(await c.req.text(), user.hash)\n    return c.json({ ok })\n  })`,
    },
    ['strong a.js:4'],
  ],
])('RZ5, QT15, QT19: %j has %j', (texts, expected) => {
  expect(found('route-no-rate-limit', texts)).toEqual(expected)
})

const DESK = `import { Controller, Post } from '@nestjs/common'
import { Doors } from './doors'
@Controller('auth')
export class Desk {
  constructor(private readonly doors: Doors) {}
  @Post()
  signIn(@Body() given: Given) { return this.doors.open(given) }
}
`
const DOORS = `import * as bcrypt from 'bcrypt'
export class Doors {
  open(given: Given) { return this.checked(given) }
  async checked(given: Given) { return await bcrypt.compare(given.password, this.hash) }
}
`
test.each([
  [{ 'desk.ts': DESK, 'doors.ts': DOORS }, ['strong desk.ts:6']],
  [{ 'desk.ts': DESK, 'doors.ts': DOORS.replace('bcrypt.compare', 'this.exchange') }, []],
  [{ 'desk.ts': DESK.replace('signIn', 'renew'), 'doors.ts': DOORS }, []],
])('RZ5: a password is compared in the layers below: %j has %j', (texts, expected) => {
  expect(found('route-no-rate-limit', texts)).toEqual(expected)
})

test.each([
  ['', ['strong shop/urls.py:4']],
  ['REST_FRAMEWORK = {"DEFAULT_THROTTLE_RATES": {"anon": "5/min"}}\n', []],
])('QR16: the view that hands out tokens, with settings %j: %j', (settings, expected) => {
  const urls =
    'from django.urls import path\nfrom rest_framework.authtoken import views\nurlpatterns = [\n    path("token/", views.obtain_auth_token),\n]\n'
  expect(found('route-no-rate-limit', { 'shop/urls.py': urls, 'shop/settings.py': settings })).toEqual(expected)
})
