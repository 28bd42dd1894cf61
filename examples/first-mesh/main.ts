// `npm start`: a mesh with two services behind it, a fault proxy in front of each, and three things to try.
// What an orchestrator does elsewhere this file does here: a service that dies is started again two seconds later.

import { type ChildProcess, fork, spawn } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { startFaultApi } from '@ripstop/faults'

const here = import.meta.dirname
const root = join(here, '..', '..')
const state = join(root, '.ripstop', 'first-mesh')
const RESTART_MS = 2_000
const SERVICES = ['orders', 'stock'] as const

mkdirSync(state, { recursive: true })
const children = new Set<ChildProcess>()
let stopping = false

await using faults = await startFaultApi({ port: await freePort(8474) })
const environment: Record<string, string> = {}
for (const name of SERVICES) {
  const port = await freePort()
  await runService(name, port)
  const proxy = await faults.createProxy({ name, upstream: { host: '127.0.0.1', port } })
  environment[`${name.toUpperCase()}_URL`] = `http://127.0.0.1:${proxy.port}`
}

const mesh = spawn(
  process.execPath,
  [join(root, 'packages', 'server', 'bin', 'ripstop.js'), 'up', '--config', join(here, 'ripstop.yaml')],
  {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: {
      RIPSTOP_STATE_DIR: join(root, '.ripstop'),
      LOG_LEVEL: 'warn',
      LOG_FORMAT: 'text',
      ...process.env,
      ...environment,
    },
  },
)
mesh.stdout?.on('data', (chunk: Buffer) => {
  process.stdout.write(chunk)
  const address = /ripstop is up: (\S+)/.exec(chunk.toString())?.[1]
  if (address !== undefined) invite(address)
})
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    stopping = true
    mesh.kill(signal)
  })
}
await new Promise<void>((resolve) =>
  mesh.once('exit', (code) => {
    process.exitCode = code ?? 1
    resolve()
  }),
)
stopping = true
for (const child of children) child.kill('SIGTERM')

function runService(name: string, port: number): Promise<void> {
  const child = fork(join(here, 'service.ts'), [name, String(port)])
  children.add(child)
  writeFileSync(join(state, `${name}.pid`), `${child.pid}\n`)
  child.once('exit', () => {
    children.delete(child)
    if (!stopping) setTimeout(() => void runService(name, port), RESTART_MS)
  })
  return new Promise((resolve) => child.once('message', () => resolve()))
}

function invite(address: string): void {
  const kill = `kill -9 $(cat ${join('.ripstop', 'first-mesh', 'stock.pid')})`
  process.stdout.write(`
  Look at it:  ${address}/

  Try, in another terminal:
    curl ${address}/orders                       # a request through the mesh
    ${kill}   # kills a service: see it fall, and heal
    npx ripstop fault orders black_hole                    # it takes requests and never answers; then: npx ripstop fault heal

  Ctrl-C stops everything.
`)
}

/** The wanted port if it is free, else any free one. */
function freePort(wanted = 0): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', () => (wanted === 0 ? reject(new Error('no free port on loopback')) : resolve(freePort())))
    server.listen(wanted, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0))
    })
  })
}
