// What a stranger gets: the packed kernel and faults, installed together into an empty folder without a registry, and a
// program that links through a fault proxy, breaks it and sees it heal.

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

test('the packed kernel and faults install together in an empty folder and work', () => {
  const folder = mkdtempSync(join(tmpdir(), 'ripstop-packed-'))
  try {
    const out = execFileSync(process.execPath, [join(ROOT, 'scripts', 'pack.mjs'), folder], { encoding: 'utf8' })
    const tarballs = out.trim().split('\n')
    writeFileSync(join(folder, 'package.json'), '{ "private": true, "type": "module" }')
    writeFileSync(join(folder, 'program.js'), PROGRAM)
    execFileSync('npm', ['install', '--offline', '--no-audit', '--no-fund', ...tarballs], {
      cwd: folder,
      stdio: 'pipe',
    })
    const said = execFileSync(process.execPath, ['program.js'], { cwd: folder, encoding: 'utf8', timeout: 20_000 })
    expect(said).toMatch(/^answer \?\nsilence (DEADLINE_EXCEEDED|LINK_LOST)\nrecovered true/)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}, 60_000)
