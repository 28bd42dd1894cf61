import { expect, test } from 'vitest'
import { foundIn } from '../found.fixture.ts'
import { orphanSubscription } from './orphan-subscription.ts'

const IO = "import Redis from 'ioredis'\nconst sub = new Redis()\n"
const PY = 'import redis\nr = redis.Redis()\np = r.pubsub()\n'
const KAFKA = "import { Kafka } from 'kafkajs'\nconst kafka = new Kafka({})\nconst consumer = kafka.consumer({})\n"

test.each([
  ['nobody listens', `${IO}await sub.subscribe('a')\n`, ['strong 3']],
  ['listened to', `${IO}await sub.subscribe('a')\nsub.on('message', f)\n`, []],
  ['listened to by a name', `${IO}await sub.subscribe('a')\nsub.on(event, f)\n`, []],
  ['given a function', `${IO}await sub.subscribe('a', f)\n`, []],
  ['another client', "const sub = make()\nsub.subscribe('a')\n", []],
  ['a consumer that does not run', `${KAFKA}await consumer.subscribe({ topic: 'a' })\n`, ['strong 4']],
  ['a consumer that runs', `${KAFKA}await consumer.subscribe({ topic: 'a' })\nawait consumer.run(x)\n`, []],
])('OS5: a subscription: %s', (_name, text, expected) => {
  expect(foundIn(orphanSubscription, { 'src/a.ts': text })).toEqual(expected)
})

test('OS5: Python: a channel without listen or get_message', () => {
  expect(foundIn(orphanSubscription, { 'a.py': `${PY}p.subscribe('a')\n` })).toEqual(['strong 4'])
  expect(foundIn(orphanSubscription, { 'a.py': `${PY}p.subscribe('a')\nfor m in p.listen():\n    f(m)\n` })).toEqual([])
  expect(foundIn(orphanSubscription, { 'a.py': `${PY}p.subscribe(**{'a': f})\n` })).toEqual([])
})

const SOCKET = (inside: string) => `import { WebSocketServer } from 'ws'
${IO}sub.on('message', f)
const wss = new WebSocketServer({ port: 1 })
wss.on('connection', (ws, req) => {
  sub.subscribe(req.url)
${inside}})
`

test('OS6: one for each connection that nothing ends', () => {
  expect(foundIn(orphanSubscription, { 'src/a.ts': SOCKET('') })).toEqual(['strong 7'])
  expect(
    foundIn(orphanSubscription, { 'src/a.ts': SOCKET("  ws.on('close', () => sub.unsubscribe(req.url))\n") }),
  ).toEqual([])
})

const HOOK = (url: string, more = '') => `import express from 'express'
import axios from 'axios'
const app = express()
app.post('/connect', async (req, res) => {
  await axios.post('${url}', { url: 'x' })
})
${more}`

test.each([
  ['never taken back', HOOK('https://api.example.com/v1/webhooks'), ['review 5']],
  ['of this system', HOOK('http://orders:3000/webhooks'), []],
  ['no webhook', HOOK('https://api.example.com/v1/orders'), []],
  ['taken back by a client', HOOK('https://api.example.com/v1/webhooks', 'client.deleteWebhook(1)\n'), []],
  [
    'taken back',
    HOOK('https://api.example.com/v1/webhooks', 'axios.delete("https://api.example.com/v1/webhooks/1")\n'),
    [],
  ],
])('OS7: a webhook: %s', (_name, text, expected) => {
  expect(foundIn(orphanSubscription, { 'src/a.ts': text })).toEqual(expected)
})
