import { readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { expect, test } from 'vitest'
import { dial, until } from './loopback-peers.ts'
import { portAccepts, startProcess } from './process-faults.ts'
import { continueTree, killTree, listTree, signalAll, stopTree } from './process-tree.ts'

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const bound = server.address()
  await new Promise((resolve) => server.close(resolve))
  return typeof bound === 'object' && bound !== null ? bound.port : 0
}

/** A web server with two workers, one of which has a child of its own in another session, as Postgres does. */
const SERVER = `
  const { spawn } = require('node:child_process')
  const grandchild = "process.title = 'leaf'; setInterval(() => {}, 1000)"
  const worker = "require('node:child_process').spawn(process.execPath, ['-e', " + JSON.stringify(grandchild) + "], { detached: true }); setInterval(() => {}, 1000)"
  spawn(process.execPath, ['-e', worker])
  spawn(process.execPath, ['-e', grandchild], { detached: true })
  console.log('starting')
  require('node:http').createServer((_request, response) => response.end(String(process.pid))).listen(Number(process.argv[1]), '127.0.0.1')
`

function startWebServer(port: number) {
  return startProcess({ command: process.execPath, args: ['-e', SERVER, String(port)], ready: () => portAccepts(port) })
}

function stateOf(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    return stat.slice(stat.lastIndexOf(')') + 2)[0] ?? ''
  } catch {
    return 'gone'
  }
}

const ask = async (port: number): Promise<string> => (await fetch(`http://127.0.0.1:${port}/`)).text()

test('PF2: it serves when it is started, killed it does not, restarted it does again under another pid', async () => {
  const port = await freePort()
  await using server = await startWebServer(port)
  expect(await ask(port)).toBe(String(server.pid))
  await until(() => server.output().includes('starting'), 'its output is kept')
  const { pid } = server
  expect(await server.kill()).toEqual({ code: null, signal: 'SIGKILL' })
  expect([server.running, await server.exited]).toEqual([false, { code: null, signal: 'SIGKILL' }])
  await expect(portAccepts(port)).rejects.toMatchObject({ code: 'ECONNREFUSED' })
  await server.restart()
  expect(server.pid).not.toBe(pid)
  expect(await ask(port)).toBe(String(server.pid))
})

test('PT1: stop stops the whole tree, over session bounds, and cont lets it run on', async () => {
  const port = await freePort()
  await using server = await startWebServer(port)
  await until(() => listTree(server.pid).length === 4, 'the tree has grown')
  const pids = listTree(server.pid).map(({ pid }) => pid)
  expect(server.stop()).toBe(4)
  await until(() => pids.every((pid) => stateOf(pid) === 'T'), 'all are stopped')
  const client = await dial({ host: '127.0.0.1', port }) // the kernel still accepts
  client.socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
  expect(client.bytes()).toBe(0)
  expect(server.cont()).toBe(4)
  await until(() => client.text().endsWith(String(server.pid)), 'it answers after all')
  expect(pids.map(stateOf)).not.toContain('T')
  client.socket.destroy()
})

test('PF1: disposing kills a stopped tree', async () => {
  const server = await startWebServer(await freePort())
  await until(() => listTree(server.pid).length === 4, 'the tree has grown')
  const pids = listTree(server.pid).map(({ pid }) => pid)
  server.stop()
  await Promise.all([server[Symbol.asyncDispose](), server[Symbol.asyncDispose]()])
  await until(() => pids.every((pid) => ['gone', 'Z'].includes(stateOf(pid))), 'nothing is left')
})

test('PF1: orphans of a killed process go with the restart and with disposing', async () => {
  const server = await startWebServer(await freePort())
  await until(() => listTree(server.pid).length === 4, 'the tree has grown')
  const first = listTree(server.pid).map(({ pid }) => pid)
  await server.kill()
  expect(first.map(stateOf).filter((state) => state === 'S' || state === 'R').length).toBeGreaterThan(0)
  await server.restart()
  await until(() => first.every((pid) => ['gone', 'Z'].includes(stateOf(pid))), 'the orphans are gone')
  await until(() => listTree(server.pid).length === 4, 'the new tree has grown')
  const second = listTree(server.pid).map(({ pid }) => pid)
  await server.kill('SIGTERM')
  await server[Symbol.asyncDispose]()
  await until(() => second.every((pid) => ['gone', 'Z'].includes(stateOf(pid))), 'nothing is left')
})

test('a real Redis: stopped it accepts and is silent, continued it answers, killed and restarted it serves', async () => {
  const port = await freePort()
  await using redis = await startProcess({
    command: 'redis-server',
    args: ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'],
    ready: () => portAccepts(port),
  })
  const client = await dial({ host: '127.0.0.1', port })
  redis.stop()
  client.socket.write('PING\r\n')
  await until(() => stateOf(redis.pid) === 'T', 'it is stopped')
  expect(client.bytes()).toBe(0)
  redis.cont()
  await until(() => client.text() === '+PONG\r\n', 'it answers')
  await redis.kill()
  await until(() => client.closed || client.ended, 'the client saw its end')
  await redis.restart()
  const next = await dial({ host: '127.0.0.1', port })
  next.socket.write('PING\r\n')
  await until(() => next.text() === '+PONG\r\n', 'it serves again')
})

test('a process that is never ready, that ends at once or that is not there is PROCESS_FAILED and leaves nothing', async () => {
  const never = startProcess({
    command: process.execPath,
    args: ['-e', 'console.log("up"); setInterval(() => {}, 1000)'],
    ready: () => Promise.reject(new Error('no answer')),
    readyWithinMs: 500,
  })
  await expect(never).rejects.toMatchObject({
    code: 'PROCESS_FAILED',
    message: expect.stringContaining('was not ready within 500 ms (Error: no answer)'),
    details: { output: 'up\n' },
  })
  const hangs = startProcess({
    command: process.execPath,
    args: ['-e', 'setInterval(() => {}, 1000)'],
    ready: () => new Promise(() => {}),
    readyWithinMs: 200,
  })
  await expect(hangs).rejects.toMatchObject({ code: 'PROCESS_FAILED' })
  const ends = startProcess({
    command: process.execPath,
    args: ['-e', 'console.error("bad flag"); process.exit(3)'],
    ready: () => Promise.reject(new Error('no answer')),
  })
  await expect(ends).rejects.toMatchObject({ message: expect.stringContaining('ended before it was ready') })
  const missing = startProcess({ command: 'no-such-program-here', ready: () => Promise.resolve() })
  await expect(missing).rejects.toMatchObject({ details: { output: expect.stringContaining('ENOENT') } })
})

test('a process that survives its signal is PROCESS_FAILED, and still goes with disposing', async () => {
  await using stubborn = await startProcess({
    command: process.execPath,
    args: ['-e', 'process.on("SIGTERM", () => {}); console.log("up"); setInterval(() => {}, 1000)'],
    ready: () => Promise.resolve(),
  })
  await until(() => stubborn.output().includes('up'), 'it ignores SIGTERM by now')
  await expect(stubborn.kill('SIGTERM', 100)).rejects.toMatchObject({ code: 'PROCESS_FAILED' })
  expect(stubborn.running).toBe(true)
})

test('PT2: this process, its ancestors, init and no process at all are refused', () => {
  expect(() => stopTree(process.pid)).toThrow(expect.objectContaining({ code: 'FAULT_INVALID' }))
  expect(() => stopTree(process.ppid)).toThrow(expect.objectContaining({ code: 'FAULT_INVALID' }))
  for (const pid of [0, 1, -1, 1.5, Number.NaN]) {
    expect(() => killTree(pid)).toThrow(expect.objectContaining({ code: 'FAULT_INVALID' }))
  }
  const nobody = 4_194_303 // above every pid_max but the highest
  expect(() => stopTree(nobody)).toThrow(expect.objectContaining({ code: 'FAULT_UNKNOWN' }))
  expect([continueTree(nobody), killTree(nobody)]).toEqual([0, 0])
})

test('PT1: a tree that forks while it is being stopped is stopped as a whole', async () => {
  const forks = 'i=0; while [ $i -lt 150 ]; do sleep 60 & i=$((i+1)); done; wait'
  await using shell = await startProcess({ command: 'sh', args: ['-c', forks], ready: () => Promise.resolve() })
  await until(() => listTree(shell.pid).length > 5, 'it forks')
  const stopped = shell.stop()
  const pids = listTree(shell.pid).map(({ pid }) => pid)
  expect(pids.length).toBe(stopped)
  await until(() => pids.every((pid) => stateOf(pid) === 'T'), 'all are stopped')
  expect(listTree(shell.pid).length).toBe(stopped)
})

test('PT2: a process that only has the same id is not signalled', async () => {
  await using bystander = await startProcess({ command: 'sleep', args: ['60'], ready: () => Promise.resolve() })
  const [identity] = listTree(bystander.pid)
  expect(signalAll([{ pid: bystander.pid, started: 'earlier' }], 'SIGKILL')).toBe(0)
  expect(bystander.running).toBe(true)
  expect(identity && signalAll([identity], 'SIGKILL')).toBe(1)
  expect(await bystander.exited).toEqual({ code: null, signal: 'SIGKILL' })
})
