import { expect, test } from 'vitest'
import type { Value } from '../facts/facts.ts'
import { repositoryOf } from '../repository/repository.fixture.ts'
import { type Entry, entriesOf } from './entries.ts'

function names(texts: Readonly<Record<string, string>>, ...kinds: readonly Entry['kind'][]): readonly string[] {
  const { facts } = repositoryOf(texts)
  return entriesOf({ facts })
    .filter(({ kind }) => kinds.length === 0 || kinds.includes(kind))
    .map(({ name, handler }) => {
      const block = handler === undefined ? undefined : facts.get(handler.file)?.blocks[handler.block]
      return `${name} ${handler === undefined ? '-' : block?.name || 'fn'}`
    })
}

function ts(source: string, ...kinds: readonly Entry['kind'][]): readonly string[] {
  return names({ 'src/a.ts': source }, ...kinds)
}

function py(source: string, ...kinds: readonly Entry['kind'][]): readonly string[] {
  return names({ 'a.py': source }, ...kinds)
}

const EXPRESS = "import express, { Router } from 'express'\nconst app = express()\n"

test.each([
  [`${EXPRESS}app.get('/x', (q, r) => r.end())`, ['GET /x fn']],
  [`${EXPRESS}const list = wrap(async (q, r) => {})\napp.post('/x', auth, list)`, ['POST /x fn']],
  [`${EXPRESS}app.route('/x').get(a).put(b)\nfunction a() {}\nfunction b() {}`, ['GET /x a', 'PUT /x b']],
  ["const app = require('express')()\napp.get('/x', h)\nfunction h() {}", ['GET /x h']],
  [
    "import Fastify from 'fastify'\nconst f = Fastify()\nf.get('/x', { preHandler: auth }, async () => 1)",
    ['GET /x fn'],
  ],
  [
    "import Fastify from 'fastify'\nconst f = Fastify()\nf.get('/x', { preHandler: auth, handler: show })\nfunction show() {}",
    ['GET /x show'],
  ],
  [
    "import f from 'fastify'\nf().route({ method: ['GET', 'PUT'], url: '/x', handler })\nfunction handler() {}",
    ['GET /x handler', 'PUT /x handler'],
  ],
  [
    "import { Hono } from 'hono'\nexport const app = new Hono().get('/a', (c) => c.text('')).post('/b', (c) => c.text(''))",
    ['GET /a fn', 'POST /b fn'],
  ],
  [
    "import Router from '@koa/router'\nconst r = new Router({ prefix: '/v1' })\nr.get('/x', async (ctx) => {})",
    ['GET /v1/x fn'],
  ],
  ["export function register(app) { app.get('/x', (q, r) => r.end()) }", ['GET /x fn']],
  [
    "import { Controller, Get } from '@nestjs/common'\n@Controller('users')\nclass Users { @Get(':id') one() {} }",
    ['GET /users/:id one'],
  ],
  ['const r = router({ list: authedProcedure.input(z.string()).query(async () => []) })', ['QUERY list fn']],
])('EY1, QT8: %j has %j', (source, expected) => {
  expect(ts(source, 'route')).toEqual(expected)
})

test('EY1: an event is told by its constant as well, here or imported; what is not told is none', () => {
  const listens =
    "import { EVENTS } from './events'\nio.on(EVENTS.CONNECT, (socket) => { socket.on(EVENTS.JOIN, join); socket.on(EVENTS.none, join); socket.on(given, join) })\nfunction join() {}"
  const found = ['connection fn', 'join-room join']
  const table = "{ CONNECT: 'connection', JOIN: 'join-room' }"
  expect(names({ 'src/a.ts': listens, 'src/events.ts': `export const EVENTS = ${table}` })).toEqual(found)
  expect(names({ 'src/a.ts': listens, 'src/events.ts': `export const EVENTS = Object.freeze(${table})` })).toEqual(
    found,
  )
})

test('EY1: a route of a router that is mounted elsewhere has the whole path', () => {
  const express = {
    'src/app.ts': `${EXPRESS}import users from './users'\nimport { items } from './items'\nimport { more } from './more'\napp.use('/api', users)\napp.use('/v1', items)\nmore(app)`,
    'src/items.ts':
      "import { Router } from 'express'\nexport const items = Router()\nitems.get('/:id', (q, r) => r.end())",
    'src/more.ts': "export const more = (server) => { server.get('/more', (q, r) => r.end()) }",
    'src/users.ts':
      "import { Router } from 'express'\nconst router = Router()\nrouter.get('/me', (q, r) => r.end())\nexport default router",
  }
  expect(names(express, 'route')).toEqual(['GET /v1/:id fn', 'GET /more fn', 'GET /api/me fn'])
  const fastapi = {
    'app/main.py':
      'from fastapi import FastAPI\nfrom app.users import router\napp = FastAPI()\napp.include_router(router, prefix="/api")\n',
    'app/users.py':
      'from fastapi import APIRouter\nrouter = APIRouter(prefix="/users")\n@router.get("/{id}")\nasync def one(id): ...\n',
  }
  expect(names(fastapi, 'route')).toEqual(['GET /api/users/{id} one'])
  const files = {
    'app/(shop)/items/[id]/route.ts': 'export async function GET() {}\nexport const POST = async () => {}',
    'pages/api/hello.ts': 'export default function handler(req, res) {}',
  }
  expect(names(files, 'route')).toEqual(['GET /items/[id] GET', 'POST /items/[id] POST', 'ALL /api/hello handler'])
})

test.each([
  [
    'from flask import Flask\napp = Flask(__name__)\n@app.route("/x", methods=["GET", "POST"])\ndef x(): ...\n',
    ['GET /x x', 'POST /x x'],
  ],
  [
    'from flask import Blueprint\nbp = Blueprint("b", __name__, url_prefix="/b")\n@bp.get("/x")\ndef x(): ...\n',
    ['GET /b/x x'],
  ],
  [
    'from django.urls import path\nclass View(Base):\n    def get(self, request): ...\nurlpatterns = [path("x/", View.as_view())]\n',
    ['GET /x/ get'],
  ],
  [
    'from aiohttp import web\napp = web.Application()\napp.router.add_get("/x", x)\nasync def x(request): ...\n',
    ['GET /x x'],
  ],
  [
    'from starlette.routing import Route\nroutes = [Route("/x", endpoint=x)]\nasync def x(request): ...\n',
    ['GET /x x'],
  ],
])('EY1: %j has %j', (source, expected) => {
  expect(py(source, 'route')).toEqual(expected)
})

test.each([
  "import axios from 'axios'\nconst api = axios.create()\napi.get('/x', { params })\nconst m = new Map()\nm.get('/x')",
  `${EXPRESS}app.get('title')\napp.set('a', 1)`,
  "cache.get('/x', () => 1)",
  'class Job { process() {} }\nclass Store { on(name, f) {} }',
  'emitter.on(name)',
])('EY2: %j has none', (source) => {
  expect(ts(source)).toEqual([])
})

test('EY2: in Python a client, a dict and a test of a route are none', () => {
  expect(
    py('import requests\nrequests.get("/x", timeout=3)\nd.get("a")\nfor x in range(3):\n    time.sleep(1)\n'),
  ).toEqual([])
})

test.each([
  ["import { Worker } from 'bullmq'\nnew Worker('mail', async (job) => {})", 'consumer', ['mail fn']],
  [
    "import { Worker } from 'bullmq'\nfunction start(q, work) { new Worker(q, trace(work)) }\nstart('mail', send)\nfunction send() {}",
    'consumer',
    ['mail send'],
  ],
  ["mailQueue.process('send', 5, async (job) => {})", 'consumer', ['send fn']],
  ['await consumer.run({ eachMessage: async ({ message }) => {} })', 'consumer', [' eachMessage']],
  ["import amqp from 'amqplib'\nch.consume('jobs', (m) => {})", 'consumer', ['jobs fn']],
  ["ws.on('message', (m) => {})\nws.on('close', () => {})", 'consumer', ['message fn']],
  [
    "import Redis from 'ioredis'\nasync function f() { while (true) { const j = await redis.brpop('jobs', 0) } }",
    'consumer',
    ['jobs f'],
  ],
  ['setInterval(tick, 1000)\nfunction tick() {}', 'interval', [' tick']],
  ['async function poll() { await work(); setTimeout(poll, 1000) }', 'interval', [' poll']],
  ['async function poll() { while (true) { await sleep(5) } }', 'interval', [' poll']],
  ["import cron from 'node-cron'\ncron.schedule('* * * * *', () => {})", 'schedule', ['* * * * * fn']],
  [
    "for (const s of ['SIGTERM', 'SIGINT']) process.on(s, stop)\nfunction stop() {}",
    'signal',
    ['SIGTERM stop', 'SIGINT stop'],
  ],
  ["process.on('uncaughtException', (e) => {})", 'listener', ['uncaughtException fn']],
  ['app.listen(3000, () => {})', 'startup', ['listen fn']],
  [
    "import { Injectable } from '@nestjs/common'\n@Injectable()\nclass A { onModuleDestroy() {} }",
    'shutdown',
    ['onModuleDestroy onModuleDestroy'],
  ],
] as const)('EY1, EY2: %j is a %s', (source, kind, expected) => {
  expect(ts(source, kind)).toEqual(expected)
})

test.each([
  ['@shared_task\ndef send(): ...\n', 'consumer', []],
  ['from celery import shared_task\n@shared_task(name="mail")\ndef send(): ...\n', 'consumer', ['mail send']],
  ['import pika\nch.basic_consume(queue="q", on_message_callback=work)\ndef work(): ...\n', 'consumer', ['q work']],
  ['async def f():\n    while True:\n        await asyncio.sleep(1)\n', 'interval', [' f']],
  ['s.add_job(f, "interval", seconds=3)\ndef f(): ...\n', 'interval', ['interval f']],
  ['import signal\nsignal.signal(signal.SIGTERM, stop)\ndef stop(*a): ...\n', 'signal', ['SIGTERM stop']],
  [
    'from fastapi import FastAPI\napp = FastAPI(lifespan=life)\nasync def life(app): ...\n',
    'startup',
    ['lifespan life'],
  ],
  [
    'from fastapi import FastAPI\napp = FastAPI()\n@app.on_event("shutdown")\nasync def bye(): ...\n',
    'shutdown',
    ['shutdown bye'],
  ],
] as const)('EY1, EY2: %j is a %s', (source, kind, expected) => {
  expect(py(source, kind)).toEqual(expected)
})

test('EY3: guards of the route, its router and its application stand before it', () => {
  const { facts } = repositoryOf({
    'src/app.ts': `${EXPRESS}import users from './users'\napp.use(helmet())\napp.use('/api', limiter, users)`,
    'src/users.ts':
      "import { Router } from 'express'\nconst r = Router()\nr.use(auth)\nr.post('/x', check, (q, r) => r.end())\nexport default r",
    'b.py':
      'from fastapi import APIRouter, Depends\nr = APIRouter()\n@r.get("/x", dependencies=[Depends(a)])\n@limiter.limit("5/minute")\ndef x(user=Depends(b)): ...\n',
  })
  const text = (value: Value): string => (value.kind === 'path' ? value.path.text : value.kind)
  const before = entriesOf({ facts }).flatMap((entry) => (entry.kind === 'route' ? [entry.before.map(text)] : []))
  expect(before).toEqual([
    ['call', 'limiter.limit', 'b'],
    ['helmet', 'limiter', 'auth', 'check'],
  ])
})

test('EY4: routers that are mounted in themselves end, and the order is that of files and lines', () => {
  const { facts } = repositoryOf({
    'src/b.ts': `${EXPRESS}const a = Router()\nconst b = Router()\na.use('/b', b)\nb.use('/a', a)\nb.get('/x', (q, r) => r.end())\na.get('/y', (q, r) => r.end())`,
    'src/a.ts': "import x from './a'\nexport default x\nx.get('/z', (q, r) => r.end())\nx(x)",
  })
  const lines = entriesOf({ facts }).map(({ site }) => `${site.file}:${site.call.line}`)
  expect(lines).toEqual([...lines].sort())
  expect(lines.length).toBeGreaterThan(1)
})

test('QJ18: a handler that a function makes is what it returns, unless that is given what handles', () => {
  const made = (given: string): string =>
    `${EXPRESS}const check = (get) => {\n  return function answer(req, res) { res.json(get()) }\n}\napp.get('/x', check(${given}))`
  expect(ts(made('() => router'), 'route')).toEqual(['GET /x answer'])
  expect(ts(made('(q, r) => r.end()'), 'route')).toEqual(['GET /x fn'])
})
