// What a stranger gets: the packed kernel and faults, installed together into an empty folder without a registry, and a
// program that links through a fault proxy, breaks it and sees it heal; and the sdk, alone, which verifies a webhook, or with what
// sessions need.

import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
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
  const folder = mkdtempSync(join(tmpdir(), 'ripstop-packed-'))
  try {
    const out = execFileSync(process.execPath, [join(ROOT, 'scripts', 'pack.mjs'), folder, ...names], {
      encoding: 'utf8',
    })
    writeFileSync(join(folder, 'package.json'), '{ "private": true, "type": "module" }')
    writeFileSync(join(folder, 'program.js'), program)
    const tarballs = out.trim().split('\n')
    execFileSync('npm', ['install', '--offline', '--no-audit', '--no-fund', ...tarballs, ...more], {
      cwd: folder,
      stdio: 'pipe',
    })
    return execFileSync(process.execPath, ['program.js'], { cwd: folder, encoding: 'utf8', timeout: 20_000 })
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
