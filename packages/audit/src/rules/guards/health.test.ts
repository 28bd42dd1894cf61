import { expect, test } from 'vitest'
import { repositoryOf } from '../../repository/repository.fixture.ts'
import { EXPRESS, found } from './guards.fixture.ts'
import { guardsRules } from './index.ts'

const CALLS = "app.get('/x', async (q, r) => r.json(await axios.get('http://b/x')))\n"
const COMPOSE = (path: string): string =>
  `services:\n  a:\n    build: ./a\n    healthcheck:\n      test: curl -f http://localhost:3000${path}\n  b:\n    image: b:1\n`

test.each([
  [{ 'a/i.js': `${EXPRESS}${CALLS}app.get('/ready', (q, r) => r.json({ status: 'ok' }))` }, ['strong a/i.js:5']],
  [{ 'a/i.js': `${EXPRESS}${CALLS}app.get('/health', (q, r) => r.json({ up: Date.now() }))` }, ['review a/i.js:5']],
  [
    {
      'a/i.js': `${EXPRESS}${CALLS}app.get('/health', (q, r) => r.json({ up: 1 }))`,
      'docker-compose.yml': COMPOSE('/health'),
    },
    ['strong a/i.js:5'],
  ],
  [
    {
      'a/m.py':
        'from fastapi import FastAPI\nimport httpx\napp = FastAPI()\n@app.get("/readyz")\ndef ready():\n    return {"status": "ok"}\n@app.get("/x")\ndef x():\n    return httpx.get("http://b").json()\n',
    },
    ['strong a/m.py:4'],
  ],
])('HH1: %j has %j', (texts, expected) => {
  expect(found('health-check-shallow', texts)).toEqual(expected)
})

test.each([
  `${EXPRESS}app.get('/health', (q, r) => r.json({ status: 'ok' }))`,
  `${EXPRESS}${CALLS}app.get('/live', (q, r) => r.json({ status: 'ok' }))`,
  `${EXPRESS}${CALLS}app.get('/ready', async (q, r) => r.json(await check()))`,
  `${EXPRESS}${CALLS}app.get('/ready', (q, r) => { if (busy) return r.json({ busy })\n r.json({}) })`,
  `${EXPRESS}${CALLS}app.get('/ready', (q, r) => ok ? r.json({}) : r.status(503).end())`,
  `${EXPRESS}${CALLS}app.get('/health', (q, r) => r.json({}))\napp.get('/ready', async (q, r) => r.json(await db.query('x')))`,
])('HH1: %j is silent', (source) => {
  expect(found('health-check-shallow', { 'a/i.js': source })).toEqual([])
})

test('HH1: what others are called with is something that a route is to speak for', () => {
  const source = `${EXPRESS}const Redis = require('ioredis')\nconst redis = new Redis(url)\napp.get('/ready', (q, r) => r.json({}))`
  expect(found('health-check-shallow', { 'a/i.js': source })).toEqual(['strong a/i.js:6'])
})

const CONSTANT = `${EXPRESS}app.get('/health', (q, r) => r.json({ status: 'ok' }))\n`
test.each<[string, Record<string, string>, readonly string[]]>([
  ['a driver', { 'a/i.js': `${CONSTANT}const pg = require('pg')` }, ['review a/i.js:4']],
  [
    'a driver of what it loads',
    { 'a/i.js': `${CONSTANT}app.use(require('./r'))`, 'a/r.js': "const { Pool } = require('pg')" },
    ['review a/i.js:4'],
  ],
  ['a driver of another program', { 'a/i.js': CONSTANT, 'b/r.js': "const { Pool } = require('pg')" }, []],
  [
    'what compose waits for',
    { 'a/i.js': CONSTANT, 'compose.yml': 'services:\n  a: {build: ./a, depends_on: [b]}\n  b: {image: "b:1"}\n' },
    ['review a/i.js:4'],
  ],
  [
    'what compose only runs as well',
    { 'a/i.js': CONSTANT, 'compose.yml': 'services:\n  a: {build: ./a}\n  b: {image: "b:1"}\n' },
    [],
  ],
  [
    'a part that asks',
    { 'a/i.js': `${CONSTANT}${CALLS}app.get('/models/health', async (q, r) => r.json(await db.query('x')))` },
    ['review a/i.js:4'],
  ],
])('QM15: constant health and %s', (_name, texts, expected) => {
  expect(found('health-check-shallow', texts)).toEqual(expected)
})

test('HH2: presence is found where nothing is asked', () => {
  const health = (body: string): string => `from fastapi import APIRouter
router = APIRouter()
@router.get("/health")
async def health(request):
    parts = {}
    if ${body}
        parts["store"] = "healthy"
    return parts
`
  expect(found('health-check-shallow', { 'a.py': health('hasattr(request.app.state, "redis"):') })).toEqual([
    'strong a.py:7',
  ])
  expect(
    found('health-check-shallow', {
      'a.py': health('hasattr(request.app.state, "redis"):\n        await request.app.state.redis.ping()'),
    }),
  ).toEqual([])
  expect(found('health-check-shallow', { 'a.py': health('redis_connected:') })).toEqual([])
})

test('HH3: a function that is true whatever happens is found where others ask it', () => {
  const pool = (body: string, use = 'self._ping(c)'): string =>
    `class Pool:\n    def _ping(self, c):\n        ${body}\n\n    def check(self, c):\n        return ${use}\n`
  expect(found('health-check-shallow', { 'a.py': pool('return True') })).toEqual(['strong a.py:3'])
  expect(found('health-check-shallow', { 'a.py': pool('return c.ping()') })).toEqual([])
  expect(found('health-check-shallow', { 'a.py': pool('return True', 'None') })).toEqual([])
  expect(
    found('health-check-shallow', { 'a.py': pool('# always: the pool replaces what is broken\n        return True') }),
  ).toEqual([])
  const typescript = 'class A { isHealthy() { return true }\n use() { return this.isHealthy() } }'
  expect(found('health-check-shallow', { 'a.ts': typescript })).toEqual(['strong a.ts:1'])
  expect(found('health-check-shallow', { 'a.ts': typescript.replace('class A', 'class FakeA') })).toEqual([])
})

test.each([
  [
    `${EXPRESS}app.get('/health', async (q, r) => {\n  try { await db.ping() } catch (e) { return r.json({ status: 'unhealthy' }) }\n  r.json({ status: 'ok' })\n})`,
    ['strong a.js:6'],
  ],
  [
    `${EXPRESS}app.get('/orders/health', async (q, r) => {\n  r.json({ status: (await ping()) ? 'ok' : 'down' })\n})`,
    ['review a.js:5'],
  ],
  [
    `${EXPRESS}app.get('/health', async (q, r) => {\n  try { await db.ping() } catch (e) { return r.status(503).json({ status: 'unhealthy' }) }\n  r.json({ status: 'ok' })\n})`,
    [],
  ],
  [
    `${EXPRESS}app.get('/health', async (q, r) => {\n  let code = 200\n  let status = 'ok'\n  try { await db.ping() } catch (e) { status = 'down'; code = 503 }\n  r.status(code).json({ status })\n})`,
    [],
  ],
  [`${EXPRESS}app.get('/health', async (q, r) => { r.json({ status: 'ok' }) })`, []],
])('HH4: %j has %j', (source, expected) => {
  expect(found('health-status-200', { 'a.js': source })).toEqual(expected)
})

test('HH5: a readiness is found where only workers of a queue use the database', () => {
  const texts = {
    'db.ts': "import { Pool } from 'pg'\nexport const pool = new Pool({})",
    'ready.ts':
      "import express from 'express'\nimport { pool } from './db'\nimport './work'\nconst app = express()\napp.get('/ready', async (q, r) => {\n  await pool.query('SELECT 1')\n  r.end()\n})",
    'work.ts':
      "import { Worker } from 'bullmq'\nimport { pool } from './db'\nnew Worker('audit', async (job) => { await pool.query('INSERT INTO audit VALUES ($1)', [job.id]) })",
  }
  expect(found('readiness-couples-optional-dep', texts)).toEqual(['review ready.ts:6'])
  const used = {
    ...texts,
    'ready.ts': `${texts['ready.ts']}\nimport './read'`,
    'read.ts': "import { pool } from './db'\nexport const read = () => pool.query('SELECT * FROM a')",
  }
  expect(found('readiness-couples-optional-dep', used)).toEqual([])
  const serving = {
    ...texts,
    'work.ts': `${texts['work.ts']}\nimport express from 'express'\nexpress().get('/audit', async (q, r) => r.json(await pool.query('SELECT 1')))`,
  }
  expect(found('readiness-couples-optional-dep', serving)).toEqual([])
  expect(
    found('readiness-couples-optional-dep', { ...texts, 'ready.ts': texts['ready.ts'].replace('/ready', '/live') }),
  ).toEqual([])
})

test('QJ25: a status that is named well is no way to say no, any other name may be one', () => {
  const health = (status: string): Readonly<Record<string, string>> => ({
    'a/i.js': `${EXPRESS}${CALLS}app.get('/ready', (q, r) => r.status(${status}).json({ at: new Date() }))`,
  })
  expect(found('health-check-shallow', health('StatusCodes.OK'))).toEqual(['strong a/i.js:5'])
  expect(found('health-check-shallow', health('StatusCodes.SERVICE_UNAVAILABLE'))).toEqual([])
  expect(found('health-check-shallow', health('code'))).toEqual([])
})

test.each([
  ["return { status: 'ok' }", ['strong a/c.ts:6']],
  ['return this.redis.ping()', []],
])('HH1: what a service of its own is asked is judged by what that does: %s', (body, expected) => {
  const controller = `import { Controller, Get } from '@nestjs/common'
import { Health } from './health.service'
@Controller('health')
export class HealthController {
  constructor(private readonly health: Health) {}
  @Get('ready')
  ready() { return this.health.getStatus() }
}
`
  const service = `import axios from 'axios'\nexport class Health {\n  ask() { return axios.get('http://b/x') }\n  getStatus() { ${body} }\n}\n`
  expect(found('health-check-shallow', { 'a/c.ts': controller, 'a/health.service.ts': service })).toEqual(expected)
})

test('QT17: a dependency of the same file is told at the place of the check', () => {
  const [health] = [
    ...(guardsRules
      .find(({ meta }) => meta.id === 'health-check-shallow')
      ?.run(repositoryOf({ 'a/i.js': `${EXPRESS}${CALLS}app.get('/ready', (q, r) => r.json({ status: 'ok' }))` })) ??
      []),
  ]
  expect(health?.evidence.map(({ loc, what }) => `${loc?.line} ${what}`)).toEqual([
    '5 nothing in it can say no: the dependency of line 4 is not asked',
  ])
})
