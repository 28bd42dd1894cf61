import { describe, expect, test } from 'vitest'
import { foundIn } from '../found.fixture.ts'
import { floatingPromise } from './floating-promise.ts'
import { unhandledErrorEvent } from './unhandled-error-event.ts'
import { unhandledRejection } from './unhandled-rejection.ts'

const ts = (source: string): readonly string[] => foundIn(floatingPromise, { 'src/a.ts': source })
const py = (source: string): readonly string[] => foundIn(floatingPromise, { 'src/a.py': source })

describe('work that is let go of', () => {
  const save = 'async function save(order) {\n  await db.insert(order)\n}\n'
  test.each([
    [`${save}export function take(order) {\n  save(order)\n}`, ['strong 5']],
    ['class Store {\n  async save() { await this.db.put(1) }\n  close() { this.save() }\n}', ['strong 3']],
    ['async function save() { throw new Error("x") }\nfunction take() { save() }', ['strong 2']],
    [
      'async function save() { try { await a() } catch (error) { log(error); throw error } }\nfunction take() { save() }',
      ['strong 2'],
    ],
    ['async function save() { try { await a() } finally { b() } }\nfunction take() { save() }', ['strong 2']],
    ['function take() {\n  const save = async () => { await db.put(1) }\n  save()\n}', ['strong 3']],
  ])('PM1: %j has %j', (source, expected) => {
    expect(ts(source)).toEqual(expected)
  })

  test.each([
    `${save}async function take(order) { await save(order) }`,
    `${save}function take(order) { void save(order) }`,
    `${save}function take(order) { save(order).catch(report) }`,
    `${save}function take(order) { return save(order) }`,
    `${save}save(first)`,
    'async function save() { try { await db.put(1) } catch (error) { log(error) } }\nfunction take() { save() }',
    `${save}async function safe() { try { await save() } catch { count += 1 } }\nasync function all() { await safe() }\nfunction take() { all() }`,
    'async function wait() { await sleep(10) }\nfunction take() { wait() }',
    'function save() { db.put(1) }\nfunction take() { save() }',
    `import { useState } from 'react'\n${save}function take() { save() }`,
    `${save}function* all() { yield save(1) }`,
  ])('PM1: %j is silent', (source) => {
    expect(ts(source)).toEqual([])
  })

  test('PM1: what a handler lets through when it fails itself counts', () => {
    const mark =
      'async function save() {\n  try { await a() } catch (error) {\n    await mark(error)\n  }\n}\nfunction take() { save() }'
    expect(ts(mark)).toEqual(['strong 6'])
  })

  test.each([
    ['from aio_pika import connect\nasync def take(message):\n    message.ack()\n', ['strong 3']],
    ['from aio_pika import connect\nasync def take(message):\n    await message.ack()\n', []],
    ['import pika\ndef take(message):\n    message.ack()\n', []],
  ])('PM2: of a library: %j has %j', (source, expected) => {
    expect(py(source)).toEqual(expected)
  })

  test('PM2: in Python a coroutine that is dropped never runs, whatever it does', () => {
    expect(py('async def save():\n    return 1\n\ndef take():\n    save()\n')).toEqual(['strong 5'])
    expect(py('async def save():\n    return 1\n\nasync def take():\n    await save()\n')).toEqual([])
    expect(py('@as_sync\nasync def save():\n    return 1\n\ndef take():\n    save()\n')).toEqual([])
    expect(
      py(
        'try:\n    def save():\n        pass\nexcept E:\n    async def save():\n        pass\n\ndef take():\n    save()\n',
      ),
    ).toEqual([])
    expect(py('import asyncio\nasync def f():\n    asyncio.create_task(g())  # noqa: RUF006\n')).toEqual([])
  })
})

const manifest = (version: string, more = ''): string => `{"dependencies": {"express": "${version}"${more}}}`
const given = (source: string, packageJson = manifest('^4.18.0')): readonly string[] =>
  foundIn(unhandledRejection, { 'package.json': packageJson, 'src/a.ts': source }).map((each) =>
    each.replace('src/a.ts:', ''),
  )

describe('asynchronous functions that are given away', () => {
  test.each([
    ['setInterval(async () => {\n  await poll()\n}, 1000)', ['strong 1']],
    ['items.forEach(async (item) => { await save(item) })', ['strong 1']],
    ['new Promise(async (resolve) => { resolve(await read()) })', ['strong 1']],
    [
      "import { Worker } from 'bullmq'\nconst w = new Worker('q')\nw.on('failed', async (job) => { await mark(job) })",
      ['strong 3'],
    ],
    [
      "import { WebSocketServer } from 'ws'\nconst s = new WebSocketServer({})\ns.on('connection', (socket) => {\n  socket.on('message', async (m) => { await take(m) })\n})",
      ['strong 4'],
    ],
    ['async function poll() { await read() }\nsetInterval(poll, 1000)', ['strong 2']],
  ])('PM3: %j has %j', (source, expected) => {
    expect(given(source)).toEqual(expected)
  })

  test.each([
    'setInterval(async () => { try { await poll() } catch (error) { log(error) } }, 1000)',
    'setInterval(() => { poll() }, 1000)',
    'items.forEach((item) => { save(item) })',
    'await Promise.all(items.map(async (item) => { await save(item) }))',
    "bot.on('message', async (m) => { await take(m) })",
    "process.on('SIGTERM', async () => { await stop() })",
    "import $ from 'jquery'\nsetInterval(async () => { await poll() }, 1000)",
    'async function poll() { try { await read() } catch { log() } }\nsetInterval(async () => { await poll() }, 1000)',
  ])('PM3: %j is silent', (source) => {
    expect(given(source)).toEqual([])
  })

  const route =
    "import express from 'express'\nconst app = express()\napp.get('/x', async (req, res) => {\n  res.json(await read())\n})"
  test('PM4: a route is found under Express 4, and not under 5 or with what mends it', () => {
    expect(given(route)).toEqual(['strong 3'])
    expect(given(route.replace('express()', 'express.Router()'))).toEqual(['strong 3'])
    expect(given(route, manifest('^5.0.0'))).toEqual([])
    expect(given(route, manifest('^4.18.0', ', "express-async-errors": "3"'))).toEqual([])
    expect(given(route, '{}')).toEqual([])
    expect(given(route.replace('async (req, res)', 'wrap(async (req, res)').replace('\n})', '\n}))'))).toEqual([])
  })
})

const heard = (source: string, more: Readonly<Record<string, string>> = {}): readonly string[] =>
  foundIn(unhandledErrorEvent, { 'src/a.ts': source, ...more }).map((each) => each.replace('src/a.ts:', ''))

describe('emitters without a listener', () => {
  test.each([
    ["import { Pool } from 'pg'\nexport const pool = new Pool()", ['strong 2']],
    ["import pg from 'pg'\nconst { Pool } = pg\nexport const pool = new Pool()", ['strong 3']],
    ["const redis = require('redis')\nconst client = redis.createClient()", ['strong 2']],
    ["import WebSocket from 'ws'\nconst socket = new WebSocket(url)\nsocket.on('open', go)", ['strong 2']],
    ["import http from 'node:http'\nhttp.get(url, (response) => { response.resume() })", ['strong 2']],
    ["import { Pool } from 'pg'\nclass Store { constructor() { this.pool = new Pool() } }", ['strong 2']],
    [
      "import { WebSocketServer } from 'ws'\nconst server = new WebSocketServer({})\nserver.on('connection', (socket) => {\n  socket.on('message', take)\n})",
      ['strong 3'],
    ],
  ])('PM5: %j has %j', (source, expected) => {
    expect(heard(source)).toEqual(expected)
  })

  test.each([
    "import Redis from 'ioredis'\nexport const redis = new Redis()",
    "import { Queue } from 'bullmq'\nexport const queue = new Queue('q')",
    "import { Pool } from './pool.ts'\nexport const pool = new Pool()",
    "import { Pool } from 'pg'\nexport const pool = new Pool()\npool.on('error', log)",
    "import http from 'node:http'\nhttp.get(url, take).on('error', log)",
    "import WebSocket from 'ws'\nconst socket = new WebSocket(url)\nsocket.onerror = log",
    "import { Pool } from 'pg'\nfunction make() {\n  const pool = new Pool()\n  return pool\n}",
    "import { Pool } from 'pg'\nfunction make() {\n  const pool = new Pool()\n  watch(pool)\n}",
    "import { Pool } from 'pg'\nuse(new Pool())",
    "import { WebSocketServer } from 'ws'\nconst server = new WebSocketServer({})\nserver.on('connection', (socket) => {\n  socket.on('error', log)\n})",
    "import { WebSocketServer } from 'ws'\nconst server = new WebSocketServer({})\nserver.on('connection', (socket) => {\n  keep(socket)\n})",
  ])('PM5, PM6: %j is silent', (source) => {
    expect(heard(source)).toEqual([])
  })

  test('PM6: a listener in another file counts', () => {
    const pool = "import { Pool } from 'pg'\nexport const pool = new Pool()"
    expect(heard(pool, { 'src/b.ts': "import { pool } from './a.ts'\npool.on('error', log)" })).toEqual([])
    expect(heard(pool, { 'src/b.ts': "import { other } from './c.ts'\nother.on('error', log)" })).toEqual(['strong 2'])
    expect(heard(pool, { 'b/pool.ts': `${pool}\npool.on('error', log)` })).toEqual(['strong 2'])
  })
})
