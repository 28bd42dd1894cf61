import { describe, expect, test } from 'vitest'
import { findAll } from '../../findings/findings.ts'
import { repositoryOf } from '../../repository/repository.fixture.ts'
import { brokerNoTimeout } from './broker-no-timeout.ts'
import { dbNoTimeout } from './db-no-timeout.ts'
import { foundBy } from './deadlines.fixture.ts'
import { httpNoTimeout } from './http-no-timeout.ts'
import { poolNoTimeout } from './pool-no-timeout.ts'
import { rpcNoTimeout } from './rpc-no-timeout.ts'

describe('http-no-timeout', () => {
  test('DN1: calls of a library in a component are one finding', () => {
    const files = {
      'pay/package.json': '{ "dependencies": { "axios": "^1.0.0" } }',
      'pay/src/a.ts': "import axios from 'axios'\nexport const f = () => axios.get(u)\n",
      'pay/src/b.ts': "import axios from 'axios'\nexport const g = () => axios.post(u, b)\n",
      'ship/package.json': '{ "dependencies": { "axios": "^1.0.0" } }',
      'ship/src/a.ts': "import axios from 'axios'\nexport const f = () => axios.get(u)\n",
    }
    const { findings } = findAll([httpNoTimeout], repositoryOf(files), 0)
    expect(findings.map(({ tier, evidence }) => [tier, evidence.length])).toEqual([
      ['strong', 2],
      ['strong', 1],
    ])
  })

  test.each([
    ['src/a.py', 'import requests\ndef f():\n    return requests.get(u)\n', ['strong 3']],
    ['src/a.py', 'import httpx\nc = httpx.Client(timeout=None)\ndef f():\n    return c.get(u)\n', ['review 4']],
    [
      'src/a.py',
      'import aiohttp\nasync def f():\n    async with aiohttp.ClientSession() as s:\n        await s.get(u)\n',
      ['review 4'],
    ],
    ['src/a.js', "const http = require('http')\nhttp.get('http://a/', cb)\n", ['strong 2']],
  ])('DN2: %s with %j: %j', (file, source, expected) => {
    expect(foundBy(httpNoTimeout, { [file]: source })).toEqual(expected)
  })

  test.each([
    ['scripts/a.py', 'import requests\nrequests.get(u)\n'],
    ['a.py', 'import requests\nif __name__ == "__main__":\n    requests.get(u)\n'],
    ['src/a.tsx', 'export const f = () => fetch(u)\n'],
    ['src/a.ts', "import { useState } from 'react'\nexport const f = () => fetch(u)\n"],
    ['src/a.ts', "export const f = () => fetch('http://localhost:3000/')\n"],
    ['src/a.ts', "import got from 'got'\nexport const f = () => got(u, { timeout: { request: 5 } })\n"],
    [
      'src/a.ts',
      "import OpenAI from 'openai'\nconst c = new OpenAI()\nexport const f = () => c.chat.completions.create(q)\n",
    ],
    ['src/a.py', 'import httpx\ndef f():\n    return httpx.get(u)\n'],
  ])('DN2: %s with %j is silent', (file, source) => {
    expect(foundBy(httpNoTimeout, { [file]: source })).toEqual([])
  })

  test('DN2: which side a file is of, its package and what it reads tell', () => {
    const source = "import env from './config'\nexport const f = () => fetch(env.API_HOST)\n"
    const inPackage = (dependency: string) => ({
      'web/package.json': `{ "dependencies": { "${dependency}": "1" } }`,
      'web/services/a.ts': source,
    })
    expect(foundBy(httpNoTimeout, inPackage('react-native'))).toEqual([])
    expect(foundBy(httpNoTimeout, inPackage('express'))).toEqual(['strong 2'])
  })
})

describe('rpc-no-timeout', () => {
  const grpc = "import { credentials } from '@grpc/grpc-js'\nconst c = new pb.Shop(a, credentials.createInsecure())\n"
  test.each([
    ['src/a.ts', `${grpc}c.list({}, done)\n`, ['strong 3']],
    ['src/a.ts', `${grpc}c.list({}, { deadline: d }, done)\n`, []],
    [
      'src/a.ts',
      "import { ClientProxy } from '@nestjs/microservices'\nclass A {\n  constructor(private c: ClientProxy) {}\n  f() { return firstValueFrom(this.c.send('p', {})) }\n}\n",
      ['strong 4'],
    ],
    [
      'src/a.ts',
      "import { ClientProxy } from '@nestjs/microservices'\nclass A {\n  constructor(private c: ClientProxy) {}\n  f() { return firstValueFrom(this.c.send('p', {}).pipe(timeout(5))) }\n}\n",
      [],
    ],
    [
      'src/a.ts',
      "import { ClientProxy } from '@nestjs/microservices'\nclass A {\n  constructor(private c: ClientProxy) {}\n  f() { this.c.emit('p', {}) }\n}\n",
      [],
    ],
    [
      'src/a.py',
      'import shop_pb2_grpc\nstub = shop_pb2_grpc.ShopStub(ch)\ndef f():\n    return stub.List(q)\n',
      ['strong 4'],
    ],
    [
      'src/a.py',
      'import shop_pb2_grpc\nstub = shop_pb2_grpc.ShopStub(ch)\ndef f():\n    return stub.List(q, timeout=2)\n',
      [],
    ],
    [
      'client.js',
      `const { credentials } = require('@grpc/grpc-js')\nconst c = new pb.Shop(a, credentials.createInsecure())\nc.list({}, done)\n`,
      [],
    ],
  ])('DN3: %s with %j: %j', (file, source, expected) => {
    expect(foundBy(rpcNoTimeout, { [file]: source })).toEqual(expected)
  })

  const ask = (wait: string): string =>
    `import asyncio\nclass Client:\n    async def ask(self, id):\n        future = self.loop.create_future()\n        self.futures[id] = future\n        await self.exchange.publish(Message(id))\n        ${wait}\n`
  const promise = (more: string): string =>
    `export const ask = (id) =>\n  new Promise((resolve) => {\n    pending.set(id, resolve)\n    channel.sendToQueue('q', id)\n${more}  })\n`
  test.each([
    ['src/a.py', ask('return await future'), ['strong 7']],
    ['src/a.py', ask('answer: bytes = await future'), ['strong 7']],
    ['src/a.py', ask('return await asyncio.wait_for(future, 5)'), []],
    ['src/a.py', ask('return await future').replace('publish', 'keep'), []],
    ['src/a.ts', promise(''), ['strong 2']],
    ['src/a.ts', promise('    setTimeout(() => resolve(null), 5000)\n'), []],
    ['src/a.ts', promise('').replace('pending.set(id, resolve)', 'resolve(id)'), []],
  ])('DN14: %s: %j: %j', (file, source, expected) => {
    expect(foundBy(rpcNoTimeout, { [file]: source })).toEqual(expected)
  })
})

describe('db-no-timeout', () => {
  test.each([
    [
      'src/a.ts',
      "import { Pool } from 'pg'\nexport const pool = new Pool({ connectionTimeoutMillis: 5 })\n",
      ['strong 2'],
    ],
    [
      'src/a.ts',
      "import { Pool } from 'pg'\nconst options = {\n  max: 5,\n}\nexport const pool = new Pool(options)\n",
      ['strong 2', 'strong 5'],
    ],
    ['src/a.ts', "import Redis from 'ioredis'\nexport const r = new Redis(process.env.REDIS_URL)\n", ['strong 2']],
    ['src/a.py', 'import redis\nr = redis.Redis(host="a")\n', ['strong 2']],
    ['src/a.py', 'import asyncpg\nasync def f():\n    return await asyncpg.create_pool(u)\n', ['strong 3']],
  ])('DN4: %s with %j: %j', (file, source, expected) => {
    expect(foundBy(dbNoTimeout, { [file]: source })).toEqual(expected)
  })

  test.each([
    [
      'src/a.ts',
      "import { Pool } from 'pg'\nexport const pool = new Pool({ connectionTimeoutMillis: 5, statement_timeout: 5 })\n",
    ],
    [
      'src/a.ts',
      "import { Pool } from 'pg'\nexport const pool = new Pool({ connectionString: u })\npool.on('connect', (c) => c.query('SET statement_timeout = 5'))\n",
    ],
    [
      'src/a.ts',
      "import { Pool } from 'pg'\nimport { options } from './config'\nexport const pool = new Pool(options)\n",
    ],
    ['src/a.ts', "import { Pool } from 'pg'\nexport const make = (more) => new Pool({ ...more })\n"],
    ['src/a.ts', "import Redis from 'ioredis'\nexport const r = new Redis({ maxRetriesPerRequest: null })\n"],
    ['src/a.ts', "import Redis from 'ioredis'\nconst r = new Redis()\nr.subscribe('a')\n"],
    ['src/a.py', 'import redis\nr = redis.Redis(host="a", socket_timeout=5, socket_connect_timeout=5)\n'],
    [
      'src/a.py',
      'import redis\npool = redis.ConnectionPool(socket_timeout=5)\nr = redis.Redis(connection_pool=pool)\n',
    ],
    ['src/a.py', 'import psycopg2\nc = psycopg2.connect("dbname=a connect_timeout=5")\n'],
    ['migrations/a.ts', "import { Pool } from 'pg'\nexport const pool = new Pool()\n"],
  ])('DN5: %s with %j is silent', (file, source) => {
    expect(foundBy(dbNoTimeout, { [file]: source })).toEqual([])
  })

  test('DN5: a server that ends statements by itself is enough', () => {
    const files = {
      'docker-compose.yml':
        'services:\n  db:\n    image: postgres:16\n    command: postgres -c statement_timeout=5000\n',
      'src/a.ts': "import { Pool } from 'pg'\nexport const pool = new Pool()\n",
    }
    expect(foundBy(dbNoTimeout, files)).toEqual([])
  })
})

describe('broker-no-timeout', () => {
  test.each([
    ['src/a.ts', "import amqp from 'amqplib'\nexport const f = () => amqp.connect(u)\n", ['strong 2']],
    ['src/a.ts', "import amqp from 'amqplib'\nexport const f = () => amqp.connect(u, { timeout: 5 })\n", []],
    ['src/a.ts', "import { Kafka } from 'kafkajs'\nexport const k = new Kafka({ brokers })\n", []],
    ['src/a.py', 'import pika\np = pika.ConnectionParameters(host="a")\n', ['strong 2']],
    ['src/a.py', 'import pika\np = pika.ConnectionParameters(host="a", blocked_connection_timeout=5)\n', []],
  ])('DN11: %s with %j: %j', (file, source, expected) => {
    expect(foundBy(brokerNoTimeout, { [file]: source })).toEqual(expected)
  })
})

describe('pool-no-timeout', () => {
  const engine = (options: string, url = 'settings.url'): string =>
    `from sqlalchemy import create_engine\nengine = create_engine(${url}${options})\n`
  test.each([
    [engine(''), ['strong 2']],
    [engine(', pool_size=5, pool_pre_ping=True'), ['strong 2']],
    [engine(', connect_args={"sslmode": "require"}'), ['strong 2']],
    [engine(', pool_timeout=5'), []],
    [engine(', connect_args={"connect_timeout": 5}'), []],
    [engine(', connect_args=args()'), []],
    [engine(', poolclass=NullPool'), []],
    [engine(', **options'), []],
    [engine('', '"sqlite:///a.db"'), []],
    [`URL = "sqlite:///a.db"\n${engine('', 'URL')}`, []],
  ])('DN6: %j: %j', (source, expected) => {
    expect(foundBy(poolNoTimeout, { 'src/a.py': source })).toEqual(expected)
  })
})
