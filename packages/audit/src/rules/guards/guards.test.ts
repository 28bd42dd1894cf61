import { expect, test } from 'vitest'
import { EXPRESS, found, LIMIT } from './guards.fixture.ts'

const BREAKER = { 'b.py': 'class CircuitBreaker:\n    pass\n\nguard = CircuitBreaker()\n' }
test.each([
  [BREAKER, ['strong b.py:4']],
  [{ ...BREAKER, 'c.py': 'from b import guard\nguard.call()\n' }, []],
  [{ ...BREAKER, 'c.py': 'import b\nb.guard.call()\n' }, []],
  [{ ...BREAKER, 'tests/test_b.py': 'from b import guard\n' }, ['strong b.py:4']],
  [{ 'b.py': `${BREAKER['b.py']}\n@guard\ndef f(): ...\n` }, []],
  [{ ...BREAKER, 'c.py': BREAKER['b.py'] }, []],
  [{ 'src/l.ts': `${LIMIT}export const apiLimiter = rateLimit({})` }, ['strong src/l.ts:2']],
  [
    {
      'src/r.ts': 'export default class RateLimiter {}',
      'src/s.ts': "import RateLimiter from '@x/r'\nRateLimiter.go()",
    },
    [],
  ],
  [{ 'src/l.ts': `${LIMIT}export const apiLimiter = rateLimit({})`, 'src/index.ts': "export * from './l'" }, []],
  [{ 'src/r.ts': 'export function withRetry(f) { return f() }' }, ['review src/r.ts:1']],
  [
    {
      'src/r.ts': 'export function withRetry(f) { return f() }',
      'src/s.ts': "import { withRetry } from './r'\nwithRetry(g)",
    },
    [],
  ],
  [{ 'src/r.ts': 'export function withName(f) { return f() }' }, []],
])('GD1: %j has %j', (texts, expected) => {
  expect(found('guardrail-not-wired', texts)).toEqual(expected)
})

const counting = (success: string): string => `class Breaker:
    def __init__(self):
        self.failure_count = 0
        self.state = "closed"

    def call(self, work):
        try:
            result = work()
${success}
            return result
        except Exception:
            self.failure_count += 1
            if self.failure_count >= 5:
                self.state = "open"
            raise

    def reset(self):
        self.failure_count = 0
`
test.each([
  [
    '            if self.state == "half_open":\n                self.state = "closed"\n                self.failure_count = 0',
    ['strong a.py:9'],
  ],
  ['            self.state = "closed"', ['strong a.py:12']],
  ['            self.failure_count = 0', []],
  ['            self._succeeded()', ['strong a.py:12']],
])('GD2: %j has %j', (success, expected) => {
  expect(found('breaker-count-not-reset', { 'a.py': counting(success) })).toEqual(expected)
  const typescript = 'class Cache { errors = 0\n add() { this.errors += 1\n if (this.errors > 3) log(this.errors) } }'
  expect(found('breaker-count-not-reset', { 'a.ts': typescript })).toEqual([])
})

test('GD3: a setting of a guarantee is found where nobody reads it, in whatever way', () => {
  const settings =
    'from pydantic_settings import BaseSettings\nclass Settings(BaseSettings):\n    retry_attempts: int = 3\n    title: str = "x"\n'
  const use = (how: string): Readonly<Record<string, string>> => ({
    'app/config.py': settings,
    'app/main.py': `from app.config import settings\n${how}\n`,
  })
  expect(found('config-unused', use('print(settings.title)'))).toEqual(['strong app/config.py:3'])
  expect(found('config-unused', use('retry(settings.retry_attempts)'))).toEqual([])
  expect(found('config-unused', use('x = [i for i in range(get().retry_attempts)]'))).toEqual([])
  expect(found('config-unused', use('y = getattr(settings, "retry_attempts")'))).toEqual([])
  expect(found('config-unused', use('y = getattr(settings, f"{kind}_attempts")'))).toEqual([])
  expect(found('config-unused', use('y = getattr(settings, f"{kind}_timeout")'))).toEqual(['strong app/config.py:3'])
})

test.each([
  [':-change-me-too', ['strong compose.yml:5']],
  [':-change-me', []],
  [':?needed', []],
  ['', []],
])('GD4: a default of %j has %j', (given, expected) => {
  const compose = `services:\n  a:\n    build: .\n    environment:\n      SECRET_KEY: \${SECRET_KEY${given}}\n`
  const python =
    'from pydantic_settings import BaseSettings\nclass Settings(BaseSettings):\n    secret_key: str = "change-me"\n    def check(self):\n        if self.secret_key == "change-me":\n            raise ValueError("set it")\n'
  const typescript =
    "const { SECRET_KEY } = process.env\nif (process.env.SECRET_KEY === 'change-me') throw new Error('set it')"
  expect(found('guard-bypassed', { 'compose.yml': compose, 'app/config.py': python })).toEqual(expected)
  expect(found('guard-bypassed', { 'compose.yml': compose, 'src/config.ts': typescript })).toEqual(expected)
  expect(
    found('guard-bypassed', { 'compose.yml': compose, 'src/config.ts': typescript.replace('throw new', 'log') }),
  ).toEqual([])
})

test('GD5: a way back that is not written is found, and not in a base class', () => {
  const links = (head: string): string =>
    `${head}\n    def reconnect(self):\n        self._dial()\n\n    def _dial(self):\n        raise NotImplementedError("later")\n`
  expect(found('reconnect-missing', { 'a.py': links('class Link:') })).toEqual(['strong a.py:6'])
  expect(found('reconnect-missing', { 'a.py': links('class BaseLink:') })).toEqual([])
  expect(found('reconnect-missing', { 'a.py': `${links('class Link:')}\nclass Tcp(Link):\n    pass\n` })).toEqual([])
})

test('GD6: the end of a connection is found where it is only told', () => {
  const queue = (body: string): string =>
    `import amqp from 'amqplib'\nasync function f() {\n  const c = await amqp.connect(url)\n  c.on('close', () => { ${body} })\n}`
  expect(found('reconnect-missing', { 'a.ts': queue("log('closed')") })).toEqual(['strong a.ts:4'])
  expect(found('reconnect-missing', { 'a.ts': queue('setTimeout(f, 1000)') })).toEqual([])
  expect(found('reconnect-missing', { 'a.ts': queue('process.exit(1)') })).toEqual([])
  expect(
    found('reconnect-missing', { 'a.ts': queue("log('closed')").replace("'amqplib'", "'amqp-connection-manager'") }),
  ).toEqual([])
})

test.each([
  [
    { 'app/a.py': 'from app.b import gone\n', 'app/b.py': 'here = 1\n', 'app/main.py': 'from app.a import x\n' },
    ['strong app/a.py:1'],
  ],
  [{ 'app/a.py': 'from app.b import here\n', 'app/b.py': 'here = 1\n', 'app/main.py': 'from app.a import x\n' }, []],
  [
    {
      'app/a.py': 'from app.b import gone\n',
      'app/b.py': 'from os import *\n',
      'app/main.py': 'from app.a import x\n',
    },
    [],
  ],
  [
    {
      'app/a.py': 'try:\n    from app.b import gone\nexcept ImportError:\n    gone = None\n',
      'app/b.py': '',
      'app/main.py': 'from app.a import x\n',
    },
    [],
  ],
  [
    {
      'app/a.py': 'from app.b import run_test\n',
      'app/b/__init__.py': '',
      'app/b/run_test.py': '',
      'app/main.py': 'from app.a import x\n',
    },
    [],
  ],
  [{ 'app/a.py': 'from app.b import gone\n', 'app/b.py': 'here = 1\n' }, []],
])('GD7: %j has %j', (texts, expected) => {
  expect(found('start-crash', texts)).toEqual(expected)
})

test.each([
  ['def handler(request, error): ...\n\n@handler\ndef f(): ...\n', ['strong a.py:3']],
  ['def handler(request, error=None): ...\n\n@handler\ndef f(): ...\n', []],
  ['def handler(a, b):\n    return wrap\n\n@handler(1, 2)\ndef f(): ...\n', []],
  [
    'from slowapi import _rate_limit_exceeded_handler\n\n@_rate_limit_exceeded_handler\ndef f(): ...\n',
    ['strong a.py:3'],
  ],
])('GD8: %j has %j', (source, expected) => {
  expect(found('start-crash', { 'a.py': source })).toEqual(expected)
})

test('MX1: a gauge is found where an end is passed by', () => {
  const gauge = (write: string): string => `import { Gauge } from 'prom-client'
const sessions = new Gauge({ name: 's' })
class Store {
  async add(k) {
    await this.redis.${write}
    sessions.inc()
  }
  async remove(k) {
    await this.redis.del(k)
    sessions.dec()
  }
}`
  expect(found('metric-drift', { 'a.ts': gauge('setex(k, 60, v)') })).toEqual(['review a.ts:6'])
  expect(found('metric-drift', { 'a.ts': gauge('set(k, v)') })).toEqual([])
  const sockets = (more: string): string => `import { Gauge } from 'prom-client'
const open = new Gauge({ name: 'o' })
class Server {
  join(id) { open.inc() }
  leave(id) {
    const all = this.rooms.get(id)
    if (all) { open.dec() }
  }
  ${more}
}`
  expect(found('metric-drift', { 'a.ts': sockets('drop(id) { this.rooms.delete(id) }') })).toEqual(['review a.ts:9'])
  expect(found('metric-drift', { 'a.ts': sockets('') })).toEqual([])
})

test('MX2: a service without metrics is found once, and not with them', () => {
  const routes = `${EXPRESS}app.get('/a', (q, r) => r.end())\napp.get('/b', (q, r) => r.end())\napp.get('/c', (q, r) => r.end())\n`
  expect(found('missing-metrics', { 'a.js': routes })).toEqual(['review a.js:4'])
  expect(found('missing-metrics', { 'a.js': `import 'prom-client'\n${routes}` })).toEqual([])
  expect(found('missing-metrics', { 'a.js': routes, 'package.json': '{"dependencies":{"dd-trace":"1"}}' })).toEqual([])
})
