// Clients of libraries as rules see them: called as they come, told a deadline, made once for all, made elsewhere and handed in. What each library does by itself
// is measured: docs/proof/audit-knowledge.md.

import { describe, expect, test } from 'vitest'
import { unhandledErrorEvent } from '../promises/unhandled-error-event.ts'
import { brokerNoTimeout } from './broker-no-timeout.ts'
import { dbNoTimeout } from './db-no-timeout.ts'
import { foundBy } from './deadlines.fixture.ts'
import { httpNoTimeout } from './http-no-timeout.ts'

/** Made in a file of its own, used in another. */
function apart(made: string, used: string): Readonly<Record<string, string>> {
  return {
    'package.json': '{ "dependencies": { "express": "5" } }',
    'src/made.ts': `${made}\n`,
    'src/used.ts': `import { it } from './made.ts'\nexport const f = async (x) => ${used}\n`,
  }
}

/** The same, given to the constructor of a class. */
function injected(made: string, used: string): Readonly<Record<string, string>> {
  return {
    'package.json': '{ "dependencies": { "express": "5" } }',
    'src/a.ts': `${made}\nclass Sender {\n  constructor() {\n    this.it = it\n  }\n  async f(x) {\n    await ${used.replace('it.', 'this.it.')}\n  }\n}\nexport const sender = new Sender()\n`,
  }
}

const SERVICES = [
  [
    '@slack/web-api',
    "import { WebClient } from '@slack/web-api'\nexport const it = new WebClient(token)",
    "import { WebClient } from '@slack/web-api'\nexport const it = new WebClient(token, { timeout: 5000 })",
    "it.chat.postMessage({ channel: 'a', text: x })",
  ],
  [
    'graphql-request',
    "import { GraphQLClient } from 'graphql-request'\nexport const it = new GraphQLClient(process.env.API_URL)",
    "import { GraphQLClient } from 'graphql-request'\nexport const it = new GraphQLClient(process.env.API_URL, { fetch: bounded })",
    'it.request(QUERY, x)',
  ],
  [
    'octokit',
    "import { Octokit } from '@octokit/rest'\nexport const it = new Octokit({ auth: token })",
    "import { Octokit } from '@octokit/rest'\nexport const it = new Octokit({ auth: token, request: { fetch: bounded } })",
    "it.request('GET /user')",
  ],
] as const

describe.each(SERVICES)('%s', (_, bare, told, used) => {
  test('QN2: a client that was told no deadline is found where it is used, wherever it was made', () => {
    expect(foundBy(httpNoTimeout, apart(bare, used))).toEqual(['strong 2'])
    expect(foundBy(httpNoTimeout, injected(bare, used))).toEqual(['strong 8'])
  })

  test('QN2: one that was told is silent', () => {
    expect(foundBy(httpNoTimeout, apart(told, used))).toEqual([])
    expect(foundBy(httpNoTimeout, injected(told, used))).toEqual([])
  })
})

const CALLS: readonly (readonly [source: string, expected: readonly string[]])[] = [
  ["import mail from '@sendgrid/mail'\nexport const f = (x) => mail.send(x)\n", ['strong 2']],
  ["import mail from '@sendgrid/mail'\nmail.setTimeout(5000)\nexport const f = (x) => mail.send(x)\n", []],
  ["import { ofetch } from 'ofetch'\nexport const f = () => ofetch('https://a.example/b')\n", ['strong 2']],
  ["import { ofetch } from 'ofetch'\nexport const f = () => ofetch('https://a.example/b', { timeout: 5000 })\n", []],
  ["import { request } from 'graphql-request'\nexport const f = (x) => request(u, QUERY, x)\n", ['strong 2']],
  [
    "import { request } from 'graphql-request'\nexport const f = () => request({ url: u, document: QUERY, signal: s })\n",
    [],
  ],
  // It bounds connecting only.
  ["import needle from 'needle'\nexport const f = () => needle('get', u, { timeout: 5000 })\n", ['strong 2']],
  ["import needle from 'needle'\nexport const f = () => needle('get', u, { response_timeout: 5000 })\n", []],
  ["import proxying from 'http-proxy'\nexport const it = proxying.createProxyServer()\n", ['strong 2']],
  ["import proxying from 'http-proxy'\nexport const it = proxying.createProxyServer({ proxyTimeout: 5000 })\n", []],
  [
    "import proxying from 'http-proxy'\nconst options = { proxyTimeout: 5000 }\nexport const it = proxying.createProxyServer(options)\n",
    [],
  ],
  [
    "import { createProxyMiddleware } from 'http-proxy-middleware'\napp.use('/a', createProxyMiddleware({ target: 'http://orders:3000' }))\n",
    ['strong 2'],
  ],
  [
    "import { createProxyMiddleware } from 'http-proxy-middleware'\napp.use('/a', createProxyMiddleware({ target: 'http://orders:3000', proxyTimeout: 5000 }))\n",
    [],
  ],
  ["const proxy = require('express-http-proxy')\napp.use('/a', proxy('http://orders:3000'))\n", ['strong 2']],
  ["const proxy = require('express-http-proxy')\napp.use('/a', proxy('http://orders:3000', { timeout: 5000 }))\n", []],
  // What opens a bucket is no cookie of a page; what is set is the whole of what bounds it.
  [
    "import { S3Client } from '@aws-sdk/client-s3'\nconst it = new S3Client({ credentials: { accessKeyId: a, secretAccessKey: b } })\nexport const f = (x) => it.send(x)\n",
    ['strong 3'],
  ],
  [
    "import { S3Client } from '@aws-sdk/client-s3'\nconst it = new S3Client({ requestHandler: { requestTimeout: 5000, throwOnRequestTimeout: true } })\nexport const f = (x) => it.send(x)\n",
    [],
  ],
  // These end by themselves.
  [
    "import Stripe from 'stripe'\nconst it = new Stripe(key)\nexport const f = (x) => it.paymentIntents.create(x)\n",
    [],
  ],
  ["import twilio from 'twilio'\nconst it = twilio(a, b)\nexport const f = (x) => it.messages.create(x)\n", []],
]

test('QN2: a program that something starts to ask a service whether it is well is ended by whoever starts it', () => {
  const asks = "const http = require('http')\nhttp.get({ host: name, timeout: 5 }, done)\n"
  expect(foundBy(httpNoTimeout, { 'app/healthcheck.js': asks })).toEqual([])
  expect(foundBy(httpNoTimeout, { 'app/healthcheck.js': `${asks}exports.check = done\n` })).toEqual(['strong 2'])
})

test.each(CALLS)('QN2: %j: %j', (source, expected) => {
  expect(
    foundBy(httpNoTimeout, { 'package.json': '{ "dependencies": { "express": "5" } }', 'src/a.ts': source }),
  ).toEqual(expected)
})

test.each([
  [
    'from twilio.rest import Client\nit = Client(sid, token)\ndef f(x):\n    it.messages.create(body=x)\n',
    ['strong 4'],
  ],
  [
    'from twilio.rest import Client\nfrom twilio.http.http_client import TwilioHttpClient\nit = Client(sid, token, http_client=TwilioHttpClient(timeout=5))\ndef f(x):\n    it.messages.create(body=x)\n',
    [],
  ],
  ['import httplib2\nit = httplib2.Http()\ndef f(u):\n    return it.request(u)\n', ['strong 4']],
  ['import httplib2\nit = httplib2.Http(None, 5)\ndef f(u):\n    return it.request(u)\n', []],
  ['import httplib2\nit = httplib2.Http(timeout=5)\ndef f(u):\n    return it.request(u)\n', []],
  ['from elasticsearch import Elasticsearch\nit = Elasticsearch(u)\ndef f(q):\n    return it.search(body=q)\n', []],
  ['import stripe\ndef f(x):\n    return stripe.Charge.create(amount=x)\n', []],
])('QN2: %j: %j', (source, expected) => {
  expect(foundBy(httpNoTimeout, { 'src/a.py': source })).toEqual(expected)
})

test.each([
  ['from psycopg_pool import ConnectionPool\npool = ConnectionPool(u, timeout=5)\n', ['strong 2']],
  [
    "from psycopg_pool import ConnectionPool\npool = ConnectionPool(u, kwargs={'options': '-c statement_timeout=5000'})\n",
    [],
  ],
  ['import pymysql\ndef f():\n    return pymysql.connect(host=h, connect_timeout=5)\n', ['strong 3']],
  ['import pymysql\ndef f():\n    return pymysql.connect(host=h, read_timeout=5)\n', []],
  // It has no deadline for connecting of its own, as PyMySQL has.
  ['import MySQLdb\ndef f():\n    return MySQLdb.connect(host=h, read_timeout=5)\n', ['strong 3']],
  ['import MySQLdb\ndef f():\n    return MySQLdb.connect(host=h, read_timeout=5, connect_timeout=5)\n', []],
  ['import aiomysql\nasync def f():\n    return await aiomysql.create_pool(host=h, connect_timeout=5)\n', ['strong 3']],
])('QN3: stores of Python, each by what was measured of it: %j: %j', (source, expected) => {
  expect(foundBy(dbNoTimeout, { 'src/a.py': source })).toEqual(expected)
})

test.each([
  ['import aio_pika\nasync def f():\n    return await aio_pika.connect_robust(u)\n', ['strong 3']],
  ['import aio_pika\nasync def f():\n    return await aio_pika.connect_robust(u, timeout=5)\n', []],
  ['import aio_pika, asyncio\nasync def f():\n    return await asyncio.wait_for(aio_pika.connect_robust(u), 5)\n', []],
  ['from aio_pika import connect_robust\nasync def f():\n    return await connect_robust(u)\n', ['strong 3']],
])('QN3: connecting to a broker: %j: %j', (source, expected) => {
  expect(foundBy(brokerNoTimeout, { 'src/a.py': source })).toEqual(expected)
})

test.each([
  ["app.register(require('@fastify/postgres'), { connectionString: u })\n", ['strong 1']],
  ["import pg from '@fastify/postgres'\nawait app.register(pg, { connectionString: u })\n", ['strong 2']],
  [
    "import pg from '@fastify/postgres'\nawait app.register(pg, { connectionTimeoutMillis: 2000, statement_timeout: 5000 })\n",
    [],
  ],
  ["import pg from '@fastify/postgres'\nawait app.register(pg, options)\n", []],
  ["import redis from '@fastify/redis'\nawait app.register(redis, { client })\n", []],
])('QV2: a plugin of Fastify makes a pool of what it is given: %j: %j', (source, expected) => {
  expect(foundBy(dbNoTimeout, { 'src/a.js': source })).toEqual(expected)
})

test('QN3: an Elasticsearch client that waits on purpose is for review', () => {
  const files = (range: string) => ({
    'package.json': `{ "dependencies": { "@elastic/elasticsearch": "${range}" } }`,
    'src/a.ts':
      "import { Client } from '@elastic/elasticsearch'\nconst it = new Client({ node: u })\nexport const f = () => it.search({})\n",
  })
  expect(foundBy(httpNoTimeout, files('^8.0.0'))).toEqual([])
  expect(foundBy(httpNoTimeout, files('^9.0.0'))).toEqual(['review 3'])
})

test.each([
  ["import mqtt from 'mqtt'\nexport const it = mqtt.connect(u)\n", []],
  ["import mysql from 'mysql2'\nexport const it = mysql.createConnection(options)\n", ['strong 2']],
  ["import mysql from 'mysql2'\nexport const it = mysql.createConnection(options)\nit.on('error', log)\n", []],
  ["import mysql from 'mysql2/promise'\nexport const it = await mysql.createConnection(options)\n", []],
  ["import mysql from 'mysql'\nexport const it = mysql.createConnection(options)\n", ['strong 2']],
  ["import mysql from 'mysql'\nexport const it = mysql.createPool(options)\n", []],
])('QN3: emitters end the process where that was seen: %j: %j', (source, expected) => {
  expect(foundBy(unhandledErrorEvent, { 'src/a.ts': source })).toEqual(expected)
})

const session = (inside: string): string =>
  `import requests\nclass Session(requests.Session):\n    def __init__(self${inside}\nsession = Session()\n`
const asksBy = 'from common.wrapped import session\ndef f(u):\n    return session.get(u).content\n'
test.each([
  ['):\n        super().__init__()\n        self.mount("https://", Limited())', ['strong 3']],
  [', timeout=5):\n        super().__init__()\n        self.wait = timeout', []],
  [
    '):\n        super().__init__()\n    def request(self, *a, **k):\n        k.setdefault("timeout", 5)\n        return super().request(*a, **k)',
    [],
  ],
])('QU8: a session of a class of its own, %j: %j', (inside, expected) => {
  expect(foundBy(httpNoTimeout, { 'common/wrapped.py': session(inside), 'src/a.py': asksBy })).toEqual(expected)
})

test('QU8: a class that only looks alike makes no client', () => {
  const own = session('):\n        pass').replace('(requests.Session)', '(Base)')
  expect(foundBy(httpNoTimeout, { 'common/wrapped.py': own, 'src/a.py': asksBy })).toEqual([])
})

test('QT21: what stands before the options of Sequelize are names, and a file is waited for by nobody', () => {
  const made = (args: string): readonly string[] =>
    foundBy(dbNoTimeout, {
      'package.json': '{ "dependencies": { "express": "5" } }',
      'src/a.ts': `import { Sequelize } from 'sequelize'\nimport { name, user, pass, options } from './config'\nexport const it = new Sequelize(${args})\n`,
    })
  expect(made("name, user, pass, { dialect: 'mysql', host }")).toEqual(['strong 3'])
  expect(made("name, user, pass, { dialect: 'mysql', dialectOptions: { statement_timeout: 5000 } }")).toEqual([])
  expect(made('name, user, pass, options')).toEqual([])
  expect(made("name, user, pass, { dialect: 'sqlite' }")).toEqual([])
  expect(made("'sqlite::memory:', { logging: false }")).toEqual([])
})
