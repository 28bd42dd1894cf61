// What leaves the process, and how long it is waited for.

import { expect, test } from 'vitest'
import { repositoryOf } from '../repository/repository.fixture.ts'
import { outboundOf } from './outbound.ts'

/** `library state [ms]` of each call, in order. */
function calls(files: Readonly<Record<string, string>> | string, extension = 'ts'): readonly string[] {
  const texts = typeof files === 'string' ? { [`src/a.${extension}`]: files } : files
  return outboundOf(repositoryOf(texts)).calls.map(({ library, deadline }) => {
    const ms = deadline.state === 'present' || deadline.state === 'default' ? deadline.ms : undefined
    return `${library} ${deadline.state}${ms === undefined ? '' : ` ${ms}`}`
  })
}

test.each([
  ["import axios from 'axios'\naxios.get(u)", ['axios absent']],
  ["const axios = require('axios')\naxios.post(u, { timeout: 5 })", ['axios absent']],
  ["import { get } from 'axios'\nget(u, { timeout: 5 })", ['axios present 5']],
  ["import axios from 'axios'\nconst api = axios.create({ timeout: 500 })\napi.get(u)", ['axios present 500']],
  [
    "import axios from 'axios'\nclass A { constructor() { this.api = axios.create() } f() { return this.api.get(u) } }",
    ['axios absent'],
  ],
  [
    "import axios from 'axios'\nfunction make() { return axios.create({ timeout: 9 }) }\nmake().get(u)",
    ['axios present 9'],
  ],
  ["import axios from 'axios'\nconst o = { timeout: 7 }\naxios.get(u, o)", ['axios present 7']],
  ['await fetch(u)', ['fetch absent']],
  ['await fetch(u, { signal: AbortSignal.timeout(50) })', ['fetch present 50']],
  ["import pg from 'pg'\nconst { Pool } = pg\nconst pool = new Pool()\npool.query('SELECT 1')", ['pg absent']],
  ["import ky from 'ky'\nky.get(u)", ['ky default 10000']],
  [
    "import { HttpService } from '@nestjs/axios'\nclass A { constructor(private http: HttpService) {} f() { return this.http.get(u) } }",
    ['@nestjs/axios absent'],
  ],
  [
    "import { ClientProxy } from '@nestjs/microservices'\nclass A { @Inject('X') private client: ClientProxy; f() { return this.client.send('p', {}) } }",
    ['@nestjs/microservices absent'],
  ],
])('OU1: %j leaves as %j', (source, expected) => {
  expect(calls(source)).toEqual(expected)
})

test.each([
  ['import requests\nrequests.get(u)', ['requests absent']],
  ['import requests as r\nr.get(u, timeout=3)', ['requests present 3000']],
  ['import requests\ns = requests.Session()\ns.get(u)', ['requests absent']],
  [
    'import httpx\nasync def f():\n    async with httpx.AsyncClient() as c:\n        await c.get(u)\n',
    ['httpx default 5000'],
  ],
  ['import httpx\nc = httpx.Client(timeout=httpx.Timeout(2))\nc.get(u)', ['httpx present 2000']],
  ['import httpx\nc = httpx.Client(timeout=None)\nc.get(u)', ['httpx absent']],
  ['from redis import asyncio as aioredis\nr = aioredis.from_url(u)\nr.get("a")', ['redis absent']],
  ['import urllib.request\nurllib.request.urlopen(u, None, 5)', ['python present 5000']],
  ['import httpx\nasync def f(client: httpx.AsyncClient):\n    await client.get(u)\n', ['httpx unknown']],
  [
    'from pb import greeter_pb2_grpc\nstub = greeter_pb2_grpc.GreeterStub(channel)\nstub.SayHello(q)',
    ['grpcio absent'],
  ],
])('OU1: %j leaves as %j', (source, expected) => {
  expect(calls(source, 'py')).toEqual(expected)
})

test.each([
  'const api = { get() {} }\napi.get(u)',
  'const cache = new Map()\ncache.get(k)',
  'export function load({ fetch }) { return fetch(u) }',
  "import { get } from './own.ts'\nget(u)",
])('OU1: %j stays inside', (source) => {
  expect(calls(source)).toEqual([])
})

test('OU1: a client is followed into the files that import it', () => {
  const files = {
    'src/db.ts': "import { Pool } from 'pg'\nexport const pool = new Pool({ query_timeout: 5 })\n",
    'src/a.ts': "import { pool } from './db'\nexport const f = () => pool.query('SELECT 1')\n",
  }
  expect(calls(files)).toEqual(['pg present 5'])
})

test('OU1: a connection that a pool lends is a client of it', () => {
  const files = {
    'src/db.ts': "import { Pool } from 'pg'\nexport const pool = new Pool({ query_timeout: 5 })\n",
    'src/a.ts':
      "import { pool } from './db'\nexport async function f() {\n  const one = await pool.connect()\n  await one.query('SELECT 1')\n}\n",
  }
  expect(calls(files)).toEqual(['pg present 5', 'pg present 5'])
})

test.each([
  ['await fetch(u, { ...rest })', 'fetch unknown'],
  ['await fetch(u, options())', 'fetch unknown'],
  ["import { options } from 'elsewhere'\nawait fetch(u, options)", 'fetch unknown'],
  ['const rest = { method: "POST" }\nawait fetch(u, { ...rest })', 'fetch absent'],
  ['function get(p, o = {}) { return fetch(p, o) }\nget("/a")\nget("/b", { method: "POST" })', 'fetch absent'],
  ['function get(p, o = {}) { return fetch(p, o) }\nget("/a")\nget("/b", { signal })', 'fetch unknown'],
  ['export function get(p, o) { return fetch(p, o) }', 'fetch unknown'],
  ['const o = {}\no.signal = s\nawait fetch(u, o)', 'fetch present'],
])('OU2: %j is %s', (source, expected) => {
  expect(calls(source)).toEqual([expected])
})

test('OU2: keyword arguments that are not seen may hold a deadline', () => {
  expect(calls('import requests\ndef f(**kwargs):\n    requests.get(u, **kwargs)\n', 'py')).toEqual([
    'requests unknown',
  ])
})

test.each([
  ['await Promise.race([fetch(u), late])', 'ts'],
  ['const p = fetch(u)\nawait Promise.race([p, late])', 'ts'],
  ["import pTimeout from 'p-timeout'\nawait pTimeout(fetch(u), { milliseconds: 5 })", 'ts'],
  ['await withTimeout(async () => { await fetch(u) }, 5)', 'ts'],
  ["import { get } from 'node:http'\nget('http://a/', cb).setTimeout(5, stop)", 'ts'],
  ["import superagent from 'superagent'\nawait superagent.get(u).timeout(5)", 'ts'],
  [
    'import httpx, asyncio\nc = httpx.AsyncClient(timeout=None)\nasync def f():\n    await asyncio.wait_for(c.get(u), 5)\n',
    'py',
  ],
  [
    'import aiohttp, asyncio\nasync def f(s):\n    s = aiohttp.ClientSession()\n    async with asyncio.timeout(5):\n        await s.get(u)\n',
    'py',
  ],
])('OU3: %j is bounded from around', (source, extension) => {
  expect(calls(source, extension)).toEqual([expect.stringMatching(/ present/)])
})

test('OU3: a timer that only starts the call bounds nothing', () => {
  expect(calls('setTimeout(() => fetch(u), 5)')).toEqual(['fetch absent'])
})

test.each([
  [
    "import axios from 'axios'\nconst api = axios.create({ timeout: 5 })\napi.get(u, { timeout: 9 })",
    'ts',
    'axios present 9',
  ],
  [
    "import axios from 'axios'\nconst api = axios.create({ timeout: 5 })\napi.get(u, { timeout: 0 })",
    'ts',
    'axios absent',
  ],
  ["import axios from 'axios'\naxios.defaults.timeout = 5\naxios.get(u)", 'ts', 'axios present'],
  [
    "import axios from 'axios'\nconst api = axios.create()\napi.defaults.timeout = 5\napi.get(u)",
    'ts',
    'axios present',
  ],
  ['import socket, urllib.request\nsocket.setdefaulttimeout(5)\nurllib.request.urlopen(u)', 'py', 'python present'],
  // requests hands its own "nothing" down, over the default of sockets.
  ['import socket, requests\nsocket.setdefaulttimeout(5)\nrequests.get(u)', 'py', 'requests absent'],
])('OU4: of %j the nearest word wins: %s %s', (source, extension, expected) => {
  expect(calls(source, extension)).toEqual([expected])
})

test.each([
  ['redis==5.0.1', 'absent'],
  ['redis>=4.6', 'absent'],
  ['redis>=8.0.1', 'default'],
  ['redis', 'default'],
])('OU4: with %s the deadline of a client is %s', (requirement, state) => {
  const files = { 'requirements.txt': `${requirement}\n`, 'app/a.py': 'import redis\nr = redis.from_url(u)\n' }
  expect(outboundOf(repositoryOf(files)).clients.map(({ deadline }) => deadline.state)).toEqual([state])
})

test.each([
  ['{ "dependencies": { "node-fetch": "^2.7.0" } }', 'present 5'],
  ['{ "dependencies": { "node-fetch": "^3.3.0" } }', 'absent'],
  ['{}', 'present 5'],
])('QN1: with %s an option that was dropped is %s', (manifest, expected) => {
  const files = { 'package.json': manifest, 'src/a.ts': "import fetch from 'node-fetch'\nfetch(u, { timeout: 5 })\n" }
  expect(calls(files)).toEqual([`node-fetch ${expected}`])
})

test.each([
  ['get({ host, timeout: 5 }, take)', 'absent'],
  ['get(u, { timeout: 5 }, take).setTimeout(5)', 'absent'],
  ["const sent = get(u, { timeout: 5 }, take)\nsent.on('error', log)", 'absent'],
  ["get(u, { timeout: 5 }, take).on('timeout', stop)", 'present 5'],
  ['const sent = get(u, { timeout: 5 }, take)\nsent.setTimeout(5, () => sent.destroy())', 'present 5'],
  ['const sent = get(u, { timeout: 5 }, take)\nwatch(sent)', 'present 5'],
  ['export const make = () => get(u, { timeout: 5 }, take)', 'present 5'],
  ['get(u, { timeout: 5, signal }, take)', 'present'],
  ['get(u, { timeout: 5, ...more }, take)', 'absent'],
])('QN1: of %j, which only tells, the deadline is %s', (source, expected) => {
  expect(calls(`import { get } from 'node:http'\n${source}\n`)).toEqual([`node ${expected}`])
})

test.each([
  ['^8.17.0', 'default'],
  ['^9.0.0', 'absent'],
  ['>=8', 'default'],
])('QN1: what a version gave up is no default any more: %s, %s', (range, state) => {
  const files = {
    'package.json': `{ "dependencies": { "@elastic/elasticsearch": "${range}" } }`,
    'src/a.ts': "import { Client } from '@elastic/elasticsearch'\nexport const c = new Client({ node: u })\n",
  }
  expect(outboundOf(repositoryOf(files)).clients.map(({ deadline }) => deadline.state)).toEqual([state])
})

test('OU1: says what is asked there, where, and by which client', () => {
  const files = {
    'src/a.ts':
      "import axios from 'axios'\nconst api = axios.create({ baseURL: process.env.BILLING_URL })\napi.post('/charge', b)\nfetch('http://stock:80/x', { method: 'PUT' })\n",
  }
  const repository = repositoryOf(files)
  const { calls: found, at } = outboundOf(repository)
  expect(found.map(({ effect, target, refusal }) => [effect, target, refusal])).toEqual([
    ['write', 'BILLING_URL', 'throws'],
    ['write', 'stock', 'answers'],
  ])
  expect(found[0]?.client?.site.call.line).toBe(2)
  const sql =
    "import { Pool } from 'pg'\nconst p = new Pool()\np.query('BEGIN')\np.query('select 1')\np.query('DELETE FROM a')\n"
  expect(outboundOf(repositoryOf({ 'src/a.ts': sql })).calls.map(({ effect }) => effect)).toEqual([
    'unknown',
    'read',
    'write',
  ])
  expect(found.map(({ site }) => at(site) !== undefined)).toEqual([true, true])
  expect(outboundOf(repository)).toBe(outboundOf(repository))
})

test('methods of node-redis that are written with capitals leave the process', () => {
  const source = "import { createClient } from 'redis'\nconst client = createClient()\n"
  expect(calls(`${source}client.hDel('a', 'b')`)).toHaveLength(1)
  expect(calls(`${source}client.lTrim('a', 0, 9)`)).toHaveLength(1)
  expect(calls(`${source}client.dOther('a')`)).toEqual([])
})

test.each([
  ["const orders = client.db('shop').collection('orders')\norders.insertOne(o)", ['mongodb unknown']],
  ["const db = client.db('shop')\nconst orders = db.collection('orders')\norders.find()", ['mongodb unknown']],
  ["const orders = other.db('shop').collection('orders')\norders.insertOne(o)", []],
  ["const orders = client.topology('shop').collection('orders')\norders.insertOne(o)", []],
])('QJ8: what a client lends is that client: %j leaves as %j', (source, expected) => {
  expect(calls(`import { MongoClient } from 'mongodb'\nconst client = new MongoClient(u)\n${source}`)).toEqual(expected)
})
