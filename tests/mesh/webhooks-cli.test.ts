// Webhooks from the terminal and in the browser, on a whole mesh: what a person does on the day on which a receiver breaks.

import { spawn } from 'node:child_process'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { findBrowser, startBrowser } from '../../packages/server/src/testing/browser.ts'
import { createTestDatabase, type TestDatabase } from '../../packages/server/src/testing/postgres.ts'
import { runCli, startMesh, type TestMesh, tellOnFailure, until } from './harness.ts'

const PROGRAM = join(import.meta.dirname, '..', '..', 'packages', 'server', 'bin', 'ripstop.js')
const browserProgram = findBrowser()

let database: TestDatabase
let mesh: TestMesh
let receiver: Server
let status = 204
let received: string[] = []
let endpoint: string

const env = (): Record<string, string> => ({ RIPSTOP_URL: mesh.base, PATH: process.env.PATH ?? '' })
const cli = (...args: string[]) => runCli(args, { env: env() })
const json = async <T>(...args: string[]): Promise<T> => JSON.parse((await cli(...args, '--json')).out) as T

beforeAll(async () => {
  receiver = createServer((request, response) => {
    request.resume()
    received.push(String(request.headers['webhook-id']))
    response.writeHead(status).end(status >= 400 ? 'out of order' : '')
  })
  await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve))
  database = await createTestDatabase()
  mesh = await startMesh({ config: { egress: { allow: ['127.0.0.0/8'] } }, env: { DATABASE_URL: database.url } })
  await mesh.ready()
  const url = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/hooks`
  const argv = ['webhooks', 'endpoints', 'create', url, '--type', 'order.*', '--description', 'Shop', '--retry', '5s']
  const made = await cli(...argv)
  expect([made.code, made.error]).toEqual([0, 'Keep the secret now: it is shown this once.\n'])
  expect(made.out).toMatch(/^endpoint [0-9a-f-]{36}\nsecret {3}whsec_\S+\n$/)
  endpoint = made.out.slice(9, 45)
})
afterAll(async () => {
  await mesh[Symbol.asyncDispose]()
  await database[Symbol.asyncDispose]()
  receiver.closeAllConnections()
  await new Promise((resolve) => receiver.close(resolve))
})
beforeEach((context) => {
  tellOnFailure(context, mesh)
  status = 204
  received = []
})

/** Publishes one event through standard input. Gives its id. */
async function publish(id: string): Promise<string> {
  const child = spawn(process.execPath, [PROGRAM, 'events', 'publish', '-', '--type', 'order.paid', '--id', id], {
    env: env(),
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  let out = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text
  })
  child.stdin.end(JSON.stringify({ total: 3 }))
  expect(await new Promise((resolve) => child.once('close', resolve))).toBe(0)
  return out.trim().split(' ')[1] as string
}

interface Attempt {
  readonly delivery_id: string
  readonly event_id: string
  readonly outcome: string
}

const attemptsOf = (event: string) => json<Attempt[]>('webhooks', 'deliveries', 'list', '--event', event)

test('an event is published once however often it is sent, is heard live, arrives once and is explained', async () => {
  const listening = spawn(process.execPath, [PROGRAM, 'webhooks', 'listen'], {
    env: env(),
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let heard = ''
  let said = ''
  listening.stdout.setEncoding('utf8').on('data', (text: string) => {
    heard += text
  })
  listening.stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text
  })
  await until('it listens', () => said.includes('listening'))
  const event = await publish('order-1')
  expect(await publish('order-1')).toBe(event)
  await until('it is heard', () => /Shop +order\.paid +#1 +delivered +\d+ ms +204/.test(heard))
  const ended = new Promise((resolve) => listening.once('close', resolve))
  listening.kill('SIGINT')
  expect(await ended).toBe(0)
  expect(received).toEqual([event])
  const [attempt] = await attemptsOf(event)
  const why = await cli('webhooks', 'why', attempt?.delivery_id ?? '')
  expect([why.code, why.out]).toEqual([0, expect.stringMatching(/^It was delivered at .* answered 204/)])
  const check = await cli('webhooks', 'check')
  expect([check.code, check.out]).toEqual([0, expect.stringContaining('nothing is missing')])
})

test('what a broken receiver could not take is a dead letter with its reason, and arrives with the same id when it is redriven', async () => {
  status = 503
  const event = await publish('order-2')
  const dead = await until(
    'it is given up',
    async () => (await json<Attempt[]>('webhooks', 'dead-letters', 'list'))[0],
    30_000,
  )
  expect((await cli('webhooks', 'why', dead.delivery_id)).out).toMatch(/dead letter.*answered 503/)
  status = 204
  const redriven = await cli('webhooks', 'dead-letters', 'redrive', '--endpoint', endpoint)
  expect([redriven.code, redriven.out]).toEqual([0, expect.stringMatching(/is done: 1 delivery to be sent/)])
  await until('it arrives', () => received.filter((id) => id === event).length === 3)
  expect(await json('webhooks', 'dead-letters', 'list')).toEqual([])
  const replayed = await cli('webhooks', 'replay', endpoint, '--since', '1h', '--type', 'order.paid')
  expect([replayed.code, replayed.error]).toEqual([0, expect.stringMatching(/^replay \S+: running, 0 made\n/)])
  await until('the past arrives once more', () => received.filter((id) => id === event).length === 4)
})

test.skipIf(browserProgram === undefined)('the page shows it live, explains it, pauses and resumes it', async () => {
  await using browser = await startBrowser(browserProgram as string)
  const page = await browser.page()
  await page.show({ width: 1200, height: 900, scheme: 'light' })
  await page.open(`${mesh.base}/webhooks`)
  await page.until(`document.querySelectorAll('.card').length === 1`)
  const event = await publish('order-3')
  await page.until(`/delivered[^]*order\\.paid[^]*Shop/.test(document.querySelector('#deliveries .look').innerText)`)
  await expect.poll(() => received).toEqual([event])
  await page.evaluate(`document.querySelector('#deliveries .look').click()`)
  await page.until(`document.querySelector('#detail-body').innerText.includes('It was delivered')`)
  await page.press('Escape')
  const button = `document.querySelector('[data-is^="change"]')`
  await page.evaluate(`${button}.click()`)
  await page.until(`${button}.innerText === 'Resume'`)
  // A pause is obeyed within a second: what is published before that may still arrive.
  const events = [event]
  const waits = `/waiting\\s+[1-9]/.test(document.querySelector('.card .facts').innerText)`
  while (!(await page.evaluate(waits)) && events.length < 100) {
    events.push(await publish(`order-${events.length + 3}`))
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
  expect(received.length).toBeLessThan(events.length)
  await page.evaluate(`${button}.click()`)
  await until('what waited arrives', () => received.length === events.length)
  expect(page.problems).toEqual([])
})

test('wrong uses ask for nothing and say what to write instead; what the mesh refuses is told with what to do', async () => {
  const wrong = await cli('webhooks', 'endpoints', 'create', 'http://127.0.0.1')
  expect([wrong.code, wrong.error]).toEqual([2, expect.stringContaining('which events?')])
  const refused = await cli('webhooks', 'endpoints', 'create', 'http://10.1.2.3/', '--type', '*')
  expect([refused.code, refused.error]).toEqual([1, expect.stringMatching(/^EGRESS_REFUSED: .*\n.*egress\.allow/)])
})
