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

const MADE = 'class RetryManager {\n  execute(f) { return f() }\n}\nmodule.exports = new RetryManager()\n'
const WRAPPED =
  'export class Store {\n  get(k) { return this.ask(k) }\n  runWithRetry(f) { return f() }\n}\nnew Store().get(1)'
test.each<[string, Readonly<Record<string, string>>, readonly string[]]>([
  ['a middleware', { 'm.py': 'class JWTAuthMiddleware:\n    pass\n' }, ['review m.py:1']],
  [
    'a middleware that is added',
    {
      'm.py': 'class JWTAuthMiddleware:\n    pass\n',
      'a.py': 'from m import JWTAuthMiddleware\napp.add_middleware(JWTAuthMiddleware)\n',
    },
    [],
  ],
  [
    'a middleware that is imported and no more',
    {
      'm.py': 'class JWTAuthMiddleware:\n    pass\n',
      'a.py': 'from m import JWTAuthMiddleware\n# app.add_middleware(JWTAuthMiddleware)\n',
    },
    ['review m.py:1'],
  ],
  [
    'a limiter that stands among the handlers of a route',
    {
      'l.ts': `${LIMIT}export const turnLimiter = rateLimit({})`,
      'a.ts': "import {\n  turnLimiter,\n} from './l'\napp.post(\n  '/turn',\n  turnLimiter,\n  turn,\n)",
    },
    [],
  ],
  [
    'what only makes another',
    { 's.ts': WRAPPED.replace('runWithRetry(f) { return f() }', 'withRetry(times) { return times }') },
    [],
  ],
  [
    'a middleware that a package hands on',
    { 'm/jwt.py': 'class JWTAuthMiddleware:\n    pass\n', 'm/__init__.py': 'from .jwt import JWTAuthMiddleware\n' },
    [],
  ],
  ['a middleware that refuses nobody', { 'm.py': 'class TimingMiddleware:\n    pass\n' }, []],
  ['the one of a module', { 'lib/r.js': MADE }, ['review lib/r.js:1']],
  [
    'the one of a module that is loaded',
    { 'lib/r.js': MADE, 'a.js': "const r = require('./lib/r')\nr.execute(f)" },
    [],
  ],
  ['a wrapping method', { 's.ts': WRAPPED }, ['review s.ts:3']],
  ['a wrapping method that is called', { 's.ts': WRAPPED.replace('this.ask(k)', 'this.runWithRetry(() => k)') }, []],
  ['a wrapping method that is handed on', { 's.ts': WRAPPED.replace('this.ask(k)', 'wrap(this.runWithRetry)') }, []],
])('QW8: %s', (_name, texts, expected) => {
  expect(found('guardrail-not-wired', texts)).toEqual(expected)
})

const MANAGER = `const CircuitBreaker = require('opossum')
class Breakers {
  all = new Map()
  breakerOf(url) { const made = new CircuitBreaker(ask); this.all.set(url, made); return made }
  run(url) { return this.breakerOf(url).fire() }
  isOpen(url) { return this.all.get(url)?.opened }
}
module.exports = new Breakers()
`
test.each<[string, string, readonly string[]]>([
  ['breakers.isOpen(u)', MANAGER, ['strong lib/b.js:2']],
  ['breakers.isOpen(u)\nbreakers.run(u)', MANAGER, []],
  ['breakers.isOpen(u)\nbreakers.breakerOf(u)', MANAGER, []],
  ['breakers.isOpen(u)', `${MANAGER}all.forEach(breakers.breakerOf)\n`, []],
])('QV12: a breaker that nobody has made, by %j', (uses, manager, expected) => {
  const user = `const breakers = require('./lib/b')\n${uses}\n`
  expect(found('guardrail-not-wired', { 'lib/b.js': manager, 'a.js': user })).toEqual(expected)
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

test.each([
  ['Field(30, env="SEND_TIMEOUT")', ['strong src/config.py:4']],
  ['Field(30, validation_alias="SEND_TIMEOUT")', ['strong src/config.py:4']],
])('QR10: %j is no use of itself: %j', (field, expected) => {
  const text = `from pydantic_settings import BaseSettings\n\nclass Settings(BaseSettings):\n    SEND_TIMEOUT: int = ${field}\n\nsettings = Settings()\n`
  const app = 'from config import settings\nprint(settings.HOST)\n'
  expect(found('config-unused', { 'src/config.py': text, 'src/app.py': app })).toEqual(expected)
})
