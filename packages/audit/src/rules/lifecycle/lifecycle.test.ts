import { expect, test } from 'vitest'
import { repositoryOf } from '../../repository/repository.fixture.ts'
import { lifecycleRules } from './index.ts'

/** `tier file:line` of the first evidence of each discovery of a rule. */
function found(id: string, texts: Record<string, string>): string[] {
  const rule = lifecycleRules.find(({ meta }) => meta.id === id)
  expect(rule).toBeDefined()
  return [...(rule?.run(repositoryOf(texts)) ?? [])].map(
    ({ tier, evidence }) => `${tier} ${evidence[0]?.loc?.file}:${evidence[0]?.loc?.line}`,
  )
}

const EXPRESS = "import express from 'express'\nconst app = express()\n"
const ts = (source: string, more: Record<string, string> = {}): { 'src/main.ts': string } => ({
  'src/main.ts': source,
  ...more,
})
const py = (source: string) => ({ 'src/main.py': source })

test.each([
  ['express', ts(`${EXPRESS}app.listen(80)\n`), ['strong src/main.ts:3']],
  [
    'http, through a name',
    ts("import { createServer } from 'node:http'\nconst server = createServer(f)\nserver.listen(80)\n"),
    ['strong src/main.ts:3'],
  ],
  ['required and chained', { 'src/a.js': "require('http').createServer(f).listen(80)\n" }, ['strong src/a.js:1']],
  [
    'nest without its hooks',
    ts("import { NestFactory } from '@nestjs/core'\nconst app = await NestFactory.create(M)\nawait app.listen(80)\n"),
    ['strong src/main.ts:3'],
  ],
  [
    'a microservice of nest without its hooks',
    ts(
      "import { NestFactory } from '@nestjs/core'\nconst app = await NestFactory.createMicroservice(M, {})\nawait app.listen()\n",
    ),
    ['strong src/main.ts:3'],
  ],
  [
    'a microservice of nest with its hooks',
    ts(
      "import { NestFactory } from '@nestjs/core'\nconst app = await NestFactory.createMicroservice(M, {})\napp.enableShutdownHooks()\nawait app.listen()\n",
    ),
    [],
  ],
  ['only SIGINT', ts(`${EXPRESS}app.listen(80)\nprocess.on('SIGINT', stop)\n`), ['strong src/main.ts:3']],
  [
    'grpc in Python',
    py('import grpc\nserver = grpc.server(pool)\nserver.start()\nserver.wait_for_termination()\n'),
    ['strong src/main.py:4'],
  ],
  [
    'http in Python',
    py('from http.server import HTTPServer\nserver = HTTPServer(a, b)\nserver.serve_forever()\n'),
    ['strong src/main.py:3'],
  ],
])('LF1: a server that hears nothing is found: %s', (_name, texts, expected) => {
  expect(found('missing-graceful-shutdown', texts)).toEqual(expected)
})

test.each([
  ['itself', ts(`${EXPRESS}app.listen(80)\nprocess.on('SIGTERM', stop)\n`)],
  ['in a loop over signals', ts(`${EXPRESS}app.listen(80)\nfor (const s of ['SIGTERM']) process.on(s, stop)\n`)],
  [
    'what imports it',
    ts(`${EXPRESS}app.listen(80)\n`, { 'src/run.ts': "import './main'\nprocess.once('SIGTERM', stop)\n" }),
  ],
  [
    'what it imports',
    ts(`${EXPRESS}import './stop'\napp.listen(80)\n`, { 'src/stop.ts': "process.on('SIGTERM', stop)\n" }),
  ],
  ['a library', ts(`${EXPRESS}import close from 'close-with-grace'\napp.listen(80)\n`)],
  [
    'a package of the repository',
    {
      'app/main.ts': `${EXPRESS}import '@own/stop'\napp.listen(80)\n`,
      'stop/package.json': '{"name": "@own/stop"}',
      'stop/index.ts': "process.on('SIGTERM', stop)\n",
    },
  ],
  [
    'nest with its hooks',
    ts(
      "import { NestFactory } from '@nestjs/core'\nconst app = await NestFactory.create(M)\napp.enableShutdownHooks()\nawait app.listen(80)\n",
    ),
  ],
  ['a port for a moment', ts(`${EXPRESS}app.listen(0)\n`)],
  ['a tool', ts(`${EXPRESS}app.listen(80)\n`, { 'package.json': '{"bin": "x.js"}' })],
  ['a tool of the developers', { 'scripts/main.ts': `${EXPRESS}app.listen(80)\n` }],
  ['something else that listens', ts('history.listen(f)\nconst list = make()\nlist.listen(80)\n')],
  ['uvicorn', py("import uvicorn\nuvicorn.run('a:app')\n")],
  [
    'Python that handles it',
    py(
      'import grpc, signal\nserver = grpc.server(pool)\nsignal.signal(signal.SIGTERM, stop)\nserver.wait_for_termination()\n',
    ),
  ],
])('LF1: is silent where the signal is heard, or nobody waits: %s', (_name, texts) => {
  expect(found('missing-graceful-shutdown', texts)).toEqual([])
})

const STOP = (body: string) =>
  ts(
    `import http from 'node:http'\nconst server = http.createServer(f)\nconst stop = async () => {\n${body}\n}\nprocess.on('SIGTERM', stop)\n`,
  )

test.each([
  ['left alone', '  server.close(() => log())\n  await pool.end()\n  process.exit(0)', ['strong src/main.ts:4']],
  ['in a branch', '  if (server) {\n    server.close()\n  }\n  process.exit(0)', ['strong src/main.ts:5']],
  ['awaited, which waits for nothing', '  await server.close()\n  process.exit(0)', ['strong src/main.ts:4']],
])('LF2: an exit that does not wait for the server: %s', (_name, body, expected) => {
  expect(found('shutdown-not-awaited', STOP(body))).toEqual(expected)
})

test.each([
  ['the callback exits', '  server.close(() => process.exit(0))'],
  ['a promise around it', '  await new Promise((done) => server.close(done))\n  process.exit(0)'],
  ['the event', "  server.close()\n  await once(server, 'close')\n  process.exit(0)"],
  ['a timer exits', '  server.close()\n  setTimeout(() => process.exit(1), 9000)'],
  ['the exit is before', '  if (again) {\n    process.exit(1)\n  }\n  server.close()'],
  ['the exit is in another branch', '  if (a) {\n    server.close()\n  } else {\n    process.exit(1)\n  }'],
])('LF2: is silent: %s', (_name, body) => {
  expect(found('shutdown-not-awaited', STOP(body))).toEqual([])
})

test('LF2: the exit of the one caller counts, and a framework whose close is awaited is silent', () => {
  const { 'src/main.ts': by = '' } = STOP('  server.close()')
  expect(
    found('shutdown-not-awaited', ts(`${by}async function end() {\n  await stop()\n  process.exit(0)\n}\n`)),
  ).toEqual(['strong src/main.ts:4'])
  const fastify =
    "import Fastify from 'fastify'\nconst server = Fastify()\nasync function end() {\n  await server.close()\n  process.exit(0)\n}\n"
  expect(found('shutdown-not-awaited', ts(fastify))).toEqual([])
})

test.each([
  ['a server after its store', '  await redis.quit()\n  server.close(done)', ['strong src/main.ts:4']],
  ['a worker after its store', '  await pool.end()\n  await worker.close()', ['review src/main.ts:4']],
  [
    'in tries of their own',
    '  try {\n    await redis.quit()\n  } catch (e) {\n    log(e)\n  }\n  await jobQueue.close()',
    ['review src/main.ts:5'],
  ],
  [
    'only when something failed',
    '  try {\n    await save()\n  } catch (e) {\n    await redis.quit()\n  }\n  server.close(done)',
    [],
  ],
  ['the right order', '  server.close(done)\n  await worker.close()\n  await redis.quit()', []],
  ['drained before', '  await apiServer.stop()\n  await redis.quit()\n  server.close(done)', []],
  ['either the one or the other', '  if (a) {\n    await redis.quit()\n  } else {\n    server.close(done)\n  }', []],
  ['stores among themselves', '  await redis.quit()\n  await pool.end()', []],
])('LF3: %s', (_name, body, expected) => {
  expect(found('shutdown-order', STOP(body))).toEqual(expected)
})

test('LF3: what was made with the store is strong, also in Python', () => {
  const source = 'consumer = Consumer(pool)\n\nasync def stop():\n    await pool.close()\n    await consumer.stop()\n'
  expect(found('shutdown-order', py(source))).toEqual(['strong src/main.py:4'])
  expect(found('shutdown-order', py(source.replace('Consumer(pool)', 'Consumer()')))).toEqual(['review src/main.py:4'])
})

test('LF4: an exit that waits for the last connection is for review, unless something limits it', () => {
  const body = '  server.close(() => {\n    process.exit(0)\n  })'
  expect(found('shutdown-no-deadline', STOP(body))).toEqual(['review src/main.ts:4'])
  expect(found('shutdown-no-deadline', STOP(`${body}\n  setTimeout(() => process.exit(1), 9)`))).toEqual([])
  expect(found('shutdown-no-deadline', STOP(`${body}\n  server.closeAllConnections()`))).toEqual([])
})

const START = (main: string, service = '', more: Record<string, string> = {}) => ({
  'compose.yml': `services:\n  api:\n    build: .\n${service}  db: {image: "postgres:16"}\n`,
  Dockerfile: 'FROM python:3.12\nCOPY app /app\n',
  'app/main.py': `from fastapi import FastAPI\nfrom app.db import init\napp = FastAPI()\n${main}`,
  'app/db.py': 'def init():\n    Base.metadata.create_all(bind=engine)\n',
  ...more,
})
const HEALTHY = '    depends_on:\n      db: {condition: service_healthy}\n'

test.each([
  ['once, and never again', START('init()\n'), ['strong app/main.py:4']],
  ['after compose waited', START('init()\n', HEALTHY), ['review app/main.py:4']],
  ['tried', START('try:\n    init()\nexcept Exception as e:\n    log(e)\n'), []],
  ['when asked', START('def f():\n    init()\n'), []],
  ['restarted', START('init()\n', '    restart: unless-stopped\n'), []],
  [
    'with a loop',
    START('init()\n', '', {
      'app/db.py': 'def init():\n    for i in range(9):\n        Base.metadata.create_all(bind=engine)\n',
    }),
    [],
  ],
  [
    'with a retry',
    START('init()\n', '', { 'app/db.py': '@retry(stop=5)\ndef init():\n    Base.metadata.create_all(bind=engine)\n' }),
    [],
  ],
  [
    'a file that is there',
    START('init()\n', '', {
      'app/db.py': 'engine = create_engine("sqlite:///x.db")\ndef init():\n    Base.metadata.create_all(bind=engine)\n',
    }),
    [],
  ],
  ['nothing that reaches out', START('init()\n', '', { 'app/db.py': 'def init():\n    tables.clear()\n' }), []],
])('LF5: a start that needs its dependency: %s', (_name, texts, expected) => {
  expect(found('fatal-on-start', texts)).toEqual(expected)
})

const HOOK = '@app.on_event("startup")\ndef up():\n'
const LIFESPAN = (before: string, after: string): Record<string, string> => ({
  ...START(''),
  'app/main.py': `from fastapi import FastAPI\nfrom app.db import init\nasync def life(app):\n    ${before}\n    yield\n    ${after}\napp = FastAPI(lifespan=life)\n`,
})

test.each<[string, Record<string, string>, readonly string[]]>([
  ['a hook', START(`${HOOK}    init()\n`), ['strong app/main.py:6']],
  ['a hook that tries', START(`${HOOK}    try:\n        init()\n    except Exception:\n        log()\n`), []],
  ['a hook of the end', START(`${HOOK.replace('startup', 'shutdown')}    init()\n`), []],
  ['a lifespan', LIFESPAN('init()', 'pass'), ['strong app/main.py:4']],
  ['the end of a lifespan', LIFESPAN('pass', 'init()'), []],
])('QM16: %s', (_name, texts, expected) => {
  expect(found('fatal-on-start', texts)).toEqual(expected)
})

const CHOSEN = (args: string, more = ''): Record<string, string> => ({
  ...START('init()\n'),
  'compose.yml': `services:\n  api:\n    build:\n      context: .\n${args}  db: {image: "postgres:16"}\n`,
  Dockerfile: `FROM python:3.12\nARG PART${more}\nCOPY ./${'$'}{PART} /app\n`,
})

test.each<[string, Record<string, string>, readonly string[]]>([
  ['given as a map', CHOSEN('      args:\n        PART: app\n'), ['strong app/main.py:4']],
  ['given as a list', CHOSEN('      args: ["PART=app"]\n'), ['strong app/main.py:4']],
  ['fallen back to', CHOSEN('', '="app"'), ['strong app/main.py:4']],
  ['of another folder', CHOSEN('      args: ["PART=other"]\n', '=app'), []],
  ['not known', CHOSEN(''), []],
])('QW5: what is copied by a variable that is %s', (_name, texts, expected) => {
  expect(found('fatal-on-start', texts)).toEqual(expected)
})

test('QW5: what is mounted over the image is what starts', () => {
  const over = (source: string): Record<string, string> => ({
    ...START('init()\n'),
    'compose.yml': `services:\n  api:\n    build: .\n    volumes: ["${source}:/app"]\n  db: {image: "postgres:16"}\n`,
    Dockerfile: 'FROM python:3.12\nCOPY needed.txt /\n',
  })
  expect(found('fatal-on-start', over('./app'))).toEqual(['strong app/main.py:4'])
  expect(found('fatal-on-start', over('./other'))).toEqual([])
  expect(found('fatal-on-start', over('app'))).toEqual([])
})

const STORE = (read: string, name = 'Orders') =>
  ts(`class ${name} {
  async find(id) {
    const data = await this.redis.get(id)
    ${read}
    return JSON.parse(data)
  }
  async save(id, order) {
    await this.redis.set(id, order)
    await this.dbQueue.add(order)
  }
}
`)

test.each([
  ['nothing else is asked', STORE('if (!data) return null'), ['review src/main.ts:4']],
  ['the store is asked', STORE('if (!data) return this.db.find(id)\n    if (!data) return null'), []],
  ['a cache by its name', STORE('if (!data) return null', 'OrderCache'), []],
  ['half of a reader', ts(STORE('if (!data) return null')['src/main.ts'].replace('find(', 'findInRedis(')), []],
  [
    'a reader whose callers ask the store',
    ts(
      STORE('if (!data) return null')['src/main.ts'].replace(
        'async save',
        'async load(id) {\n    return (await this.find(id)) ?? this.db.find(id)\n  }\n  async save',
      ),
    ),
    [],
  ],
  ['it throws', STORE("if (!data) throw new Error('x')"), []],
  ['it goes on', STORE('for (const x of y) {\n      if (!data) continue\n    }'), []],
  [
    'Python',
    py(
      'class Orders:\n    async def find(self, id):\n        data = await self.redis.get(id)\n        if data is None:\n            return None\n        return data\n\n    async def save(self, order):\n        await self.repository.insert(order)\n',
    ),
    ['review src/main.py:4'],
  ],
])('LF6: what the cache forgets: %s', (_name, texts, expected) => {
  expect(found('recovery-path-missing', texts)).toEqual(expected)
})
