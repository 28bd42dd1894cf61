import { expect, test } from 'vitest'
import { repositoryOf } from '../../repository/repository.fixture.ts'
import { foundIn } from '../found.fixture.ts'
import { floatingPromise } from './floating-promise.ts'
import { unhandledErrorEvent } from './unhandled-error-event.ts'
import { unhandledRejection } from './unhandled-rejection.ts'

type Texts = Readonly<Record<string, string>>

const given = (source: string, more: Texts = {}): readonly string[] =>
  foundIn(unhandledRejection, { 'package.json': '{}', 'src/a.js': source, ...more })
const dropped = (source: string): readonly string[] => foundIn(floatingPromise, { 'src/a.js': source })
const heard = (source: string, more: Texts = {}): readonly string[] =>
  foundIn(unhandledErrorEvent, { 'package.json': '{}', 'src/a.js': source, ...more })

const consume = (body: string): string =>
  `const amqp = require('amqplib')\nasync function start(channel) {\n  channel.consume('orders', async (message) => {\n${body}\n  })\n}`

test('QJ1: a message that is no JSON rejects what consumes it, unless that is caught', () => {
  expect(given(consume('    const order = JSON.parse(message.content)\n    keep(order)'))).toEqual([
    'strong src/a.js:3',
  ])
  expect(given(consume('    try { keep(JSON.parse(message.content)) } catch (error) { log(error) }'))).toEqual([])
  expect(given(consume('    keep(JSON.parse(JSON.stringify(order)))'))).toEqual([])
  expect(given(consume("    keep(JSON.parse('{}'))"))).toEqual([])
})

test('QJ2: what fails in the file in which it is given is told at one place', () => {
  const files = { 'package.json': '{}', 'src/a.js': consume('    await keep(message)') }
  const [found] = [...unhandledRejection.run(repositoryOf(files))]
  expect(found?.evidence.map(({ what }) => what)).toEqual([expect.stringContaining('line 4 is caught by nobody')])
})

test('QJ2: consumers, events by their name, and sockets that are handed on', () => {
  expect(given(consume('    await keep(message)'))).toEqual(['strong src/a.js:3'])
  const bot =
    "const Bot = require('node-telegram-bot-api')\nconst bot = new Bot(token)\nbot.onText(/now/, async (message) => {\n  await find(message)\n})"
  expect(given(bot)).toEqual(['strong src/a.js:3'])
  const io =
    "const { Server } = require('socket.io')\nconst { listen } = require('./b')\nconst io = new Server(http)\nio.on(Events.CONNECTION, (socket) => {\n  listen(io, socket)\n})"
  const listen = (more: string): Texts => ({
    'src/b.js': `async function join(socket) {\n  await rooms.add(socket)\n}\nfunction listen(io, socket) {\n  socket.on(Events.JOIN, ${more})\n}\nmodule.exports = { listen }`,
  })
  expect(given(io, listen('() => join(socket)'))).toEqual(['strong src/b.js:5'])
  expect(given(io, listen('async () => { await join(socket) }'))).toEqual(['strong src/b.js:5'])
  expect(given(io, listen('() => { join(socket).catch(log) }'))).toEqual([])
  expect(given(io.replace('listen(io, socket)', 'listen(socket, io)'), listen('() => join(socket)'))).toEqual([])
})

test.each([
  ["import axios from 'axios'\nexport function tell(url) {\n  axios.post(url, {})\n}", ['strong 3']],
  ['export function tell(url) {\n  fetch(url)\n}', ['strong 2']],
  [
    "const Bot = require('node-telegram-bot-api')\nconst bot = new Bot(token)\nfunction tell(chat) {\n  bot.sendMessage(chat, 'x')\n}",
    ['strong 4'],
  ],
  ["import axios from 'axios'\nexport async function tell(url) {\n  await axios.post(url, {})\n}", []],
  ["import axios from 'axios'\nexport function tell(url) {\n  axios.post(url, {}).catch(log)\n}", []],
  ["import axios from 'axios'\nexport function tell(url) {\n  void axios.post(url, {})\n}", []],
  ["import http from 'node:http'\nexport function tell(url) {\n  http.get(url, () => {})\n}", []],
  ["import request from 'request'\nexport function tell(url) {\n  request(url, () => {})\n}", []],
])('QJ3: of libraries: %j has %j', (source, expected) => {
  expect(dropped(source)).toEqual(expected)
})

const CONNECT = "const amqp = require('amqplib')\nconst connect = async () => {\n  return await amqp.connect(url)\n}\n"

test('QJ11, QJ12: a connection that a function hands out is listened to where it is used, or by nobody', () => {
  const use = (more: string): string =>
    `${CONNECT}async function send(text) {\n  const connection = await connect()\n  ${more}\n  const channel = await connection.createChannel()\n}`
  expect(heard(use(''))).toEqual(['strong src/a.js:3'])
  expect(heard(use("connection.on('error', log)"))).toEqual([])
  expect(heard(use('watch(connection)'))).toEqual([])
  expect(heard(CONNECT)).toEqual([])
})

test('QJ11, QJ13: a duplicate of a client of Redis has none of its listeners', () => {
  const kept =
    "const { createClient } = require('redis')\nlet client\nfunction open() {\n  client = createClient()\n  client.on('error', log)\n}\nfunction getClient() {\n  return client\n}\nmodule.exports = { open, getClient }"
  const use = (more: string): string =>
    `const store = require('./b')\nasync function start() {\n  const client = store.getClient()\n  const subscriber = client.duplicate()\n  ${more}\n  await subscriber.connect()\n}`
  expect(heard(use(''), { 'src/b.js': kept })).toEqual(['strong src/a.js:4'])
  expect(heard(use("subscriber.on('error', log)"), { 'src/b.js': kept })).toEqual([])
  expect(heard('function copy(page) {\n  const other = page.duplicate()\n  other.show()\n}')).toEqual([])
})

test('QT5: what a function returns and a router of Express 4 is given is told once, where it is written', () => {
  const files = (body: string, version = '^4.18.0'): Texts => ({
    'package.json': `{"dependencies":{"express":"${version}"}}`,
    'src/b.js': `export const owns = (model) => {\n  return async (req, res, next) => {\n    ${body}\n    next()\n  }\n}`,
  })
  const routes =
    "import { Router } from 'express'\nimport { owns } from './b'\nexport const router = Router()\nrouter.get('/x', owns(Item), show)\nrouter.put('/x', owns(Item), change)"
  expect(given(routes, files('const row = await model.find(req.params.id)'))).toEqual(['strong src/b.js:2'])
  expect(given(routes, files('try { await model.find(req.params.id) } catch (error) { next(error) }'))).toEqual([])
  expect(given(routes, files('await model.find(req.params.id)', '^5.0.0'))).toEqual([])
})

test('QT14: a list of promises that nobody keeps is dropped', () => {
  const maps = (body: string): readonly string[] => dropped(`async function close(items) {\n  ${body}\n}`)
  expect(maps('items.map(async (item) => {\n    await store.end(item)\n  })')).toEqual(['strong 2'])
  expect(maps('await Promise.all(items.map(async (item) => { await store.end(item) }))')).toEqual([])
  expect(maps('items.map(async (item) => { try { await store.end(item) } catch (error) { log(error) } })')).toEqual([])
  expect(maps('items.map((item) => item.name)')).toEqual([])
})

test('QT16: a producer of kafka-node ends the process where nobody listens to it', () => {
  const made =
    "const kafka = require('kafka-node')\nconst { Producer } = kafka\nconst client = new kafka.KafkaClient({})\nconst producer = new Producer(client)\n"
  expect(heard(made)).toEqual(['strong src/a.js:4'])
  expect(heard(`${made}producer.on('error', log)`)).toEqual([])
})
