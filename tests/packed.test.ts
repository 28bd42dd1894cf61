// What a stranger gets: the packed kernel and faults, installed together into an empty folder without a registry, and a
// program that links through a fault proxy, breaks it and sees it heal; and the sdk, alone, which verifies a webhook, or with what
// sessions need; and the auditor, by npx.
//   PK1. The auditor's one tarball holds all of Ripstop that it needs, and runs without the server.

import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'

const ROOT = join(import.meta.dirname, '..')

const PROGRAM = `
import { createServer, connect } from 'node:net'
import { once } from 'node:events'
import { background, createEnv, hasCode, Mesh, RipstopError } from '@ripstop/kernel'
import { checkRecovery, startFaultProxy, takeBaseline } from '@ripstop/faults'

const server = createServer((socket) => socket.on('error', () => {}).pipe(socket)).listen(0, '127.0.0.1')
await once(server, 'listening')
const proxy = await startFaultProxy({ upstream: { host: '127.0.0.1', port: server.address().port } })

const ask = async (socket, ctx) => {
  const answer = once(socket, 'data', { signal: ctx.signal })
  socket.write('?')
  return String(await answer)
}
const echo = {
  kind: 'tcp', target: 'echo', sharedFate: true,
  open: async (ctx, events) => {
    const socket = connect(proxy.port, '127.0.0.1').on('error', () => {}).on('close', () => events.lost('closed'))
    ctx.signal.addEventListener('abort', () => socket.destroy())
    await once(socket, 'connect', { signal: ctx.signal })
    return socket
  },
  probe: ask,
  close: (socket) => socket.destroy(),
  fault: (error) => new RipstopError('LINK_LOST', error.message, { sent: 'maybe' }),
}
const mesh = new Mesh(createEnv())
const link = mesh.link('echo', echo, { deadlineMs: 300, recoverWithinMs: 5000 })
const ctx = background(mesh.env)
link.start()
await link.whenUp(ctx.within(5000))
console.log('answer', await link.call(ctx, ask))

const baseline = await takeBaseline({ links: [link] })
await proxy.add({ type: 'black_hole' })
const silence = await link.call(ctx, ask).catch((error) => error)
console.log('silence', silence.code)
await proxy.reset()
const [verdict] = await checkRecovery({ links: [link], baseline })
console.log('recovered', verdict.recovered, verdict.reasons.join('; '))
await mesh.drain(ctx.within(1000))
await proxy[Symbol.asyncDispose]()
server.close()
`

const RECEIVER = `
import { createMemoryInbox, receiveOnce, verifyReceipt, verifyWebhook } from '@ripstop/sdk/webhooks'

// The vector of Standard Webhooks.
const secrets = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'
const id = 'msg_p5jXN8AQM9LWM0D4loKWxJek'
const headers = {
  'webhook-id': id,
  'webhook-timestamp': '1614265330',
  'webhook-signature': 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
}
const body = '{"test": 2432232314}'
const nowMs = 1614265330000
console.log('event', verifyWebhook({ headers, body, secrets, nowMs }).event.test)
const receive = receiveOnce({ inbox: createMemoryInbox(), secrets, nowMs: () => nowMs, apply: () => {} })
for (const each of [body, body, '{}']) {
  const answer = await receive({ headers, body: each })
  console.log(answer.status, verifyReceipt({ receipt: answer.headers['webhook-receipt'], id, secrets }))
}
`

const FOLLOWER = `
import { connectSession, createSessionsApi } from '@ripstop/sdk/sessions'

const session = connectSession({ url: 'http://127.0.0.1:1', sessionId: 'x' })
console.log(session.getSnapshot().status)
session.close()
const api = createSessionsApi({ url: 'http://127.0.0.1:1', deadlineMs: 50 })
await api.get('x').catch((error) => console.log(error.code, error.sent))
`

/** Packs, installs without a registry in an empty folder, and runs a program there; gives what it says. */
function runPacked(names: readonly string[], program: string, more: readonly string[] = []): string {
  return inPacked(names, more, (folder) => {
    writeFileSync(join(folder, 'program.js'), program)
    return execFileSync(process.execPath, ['program.js'], { cwd: folder, encoding: 'utf8', timeout: 20_000 })
  })
}

function inPacked(names: readonly string[], more: readonly string[], run: (folder: string) => string): string {
  const folder = mkdtempSync(join(tmpdir(), 'ripstop-packed-'))
  try {
    const out = execFileSync(process.execPath, [join(ROOT, 'scripts', 'pack.mjs'), folder, ...names], {
      encoding: 'utf8',
    })
    writeFileSync(join(folder, 'package.json'), '{ "private": true, "type": "module" }')
    const tarballs = out.trim().split('\n')
    execFileSync('npm', ['install', '--offline', '--no-audit', '--no-fund', ...tarballs, ...more], {
      cwd: folder,
      stdio: 'pipe',
    })
    return run(folder)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

test('the packed kernel and faults install together in an empty folder and work', () => {
  const said = runPacked(['kernel', 'faults'], PROGRAM)
  expect(said).toMatch(/^answer \?\nsilence (DEADLINE_EXCEEDED|LINK_LOST)\nrecovered true/)
}, 60_000)

test('the packed sdk installs alone in an empty folder, verifies a webhook and takes it once', () => {
  const said = runPacked(['sdk'], RECEIVER)
  expect(said).toBe('event 2432232314\n200 applied\n200 duplicate\n401 undefined\n')
}, 60_000)

test('the packed sdk follows sessions with the packed kernel and protocol beside it', () => {
  // The protocol's schemas need it; what the sdk loads does not.
  const zod = join(ROOT, 'node_modules', 'zod')
  expect(runPacked(['kernel', 'protocol', 'sdk'], FOLLOWER, [zod])).toBe('connecting\nLINK_LOST maybe\n')
}, 60_000)

test('PK1: the packed auditor runs by npx in an empty folder, on threads and from its cache', () => {
  const parsers = ['oxc-parser', 'yaml'].map((name) => join(ROOT, 'node_modules', name))
  const said = inPacked(['audit'], parsers, (folder) => {
    mkdirSync(join(folder, 'system'))
    writeFileSync(
      join(folder, 'system', 'store.js'),
      'export async function save() {\n  try {\n    await put(1)\n  } catch {}\n}\n',
    )
    // Enough for threads.
    for (let index = 0; index < 20; index++)
      writeFileSync(join(folder, 'system', `${index}.ts`), `export const name${index} = 'some text'\n`.repeat(4_000))
    const audit = () =>
      spawnSync('npx', ['--offline', 'ripstop-audit', 'system', '--cache', 'kept', '--format', 'json'], {
        cwd: folder,
        encoding: 'utf8',
      })
    const [first, second] = [audit(), audit()]
    const { findings, coverage } = JSON.parse(first.stdout)
    return `${first.status} ${findings[0].rule} ${coverage.languages.length} ${second.status} ${/nothing has changed/.test(second.stderr)}`
  })
  expect(said).toBe('1 swallowed-error 2 1 true')
}, 120_000)
