// Far ends for measurements, on loopback: one that accepts and never answers, one that refuses with a status, one that greets as a database and then says
// nothing. They are gone when the test ends, with every connection.

import { createServer as createHttp } from 'node:http'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { onTestFinished } from 'vitest'

/** Port of a server that accepts, and answers what `answer` gives for what it hears; undefined: nothing. */
export function listen(answer: (heard: Buffer) => Uint8Array | string | undefined = () => undefined): Promise<number> {
  return start(
    createServer((socket) =>
      socket.on('data', (heard) => {
        const said = answer(heard)
        if (said !== undefined) socket.write(said)
      }),
    ),
  )
}

/** Address of a server that answers every request with a status. */
export async function refuse(status: number): Promise<string> {
  const server = createHttp((request, response) => {
    request.resume()
    response.writeHead(status, { 'content-type': 'application/json' }).end('{}')
  })
  return `http://127.0.0.1:${await start(server)}/`
}

function start(server: Server): Promise<number> {
  const sockets = new Set<Socket>()
  server.on('connection', (socket) => {
    sockets.add(socket)
    // A client that gave up resets its connection.
    socket.on('error', () => {})
    socket.once('close', () => sockets.delete(socket))
  })
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port)))
}

/** `pending` until it settled. */
export interface Observed {
  state(): 'pending' | 'answered' | 'threw'
  readonly settled: Promise<void>
}

export function observe(call: () => PromiseLike<unknown>): Observed {
  let state: 'pending' | 'answered' | 'threw' = 'pending'
  const settled = Promise.resolve()
    .then(call)
    .then(
      () => {
        state = 'answered'
      },
      () => {
        state = 'threw'
      },
    )
  return { state: () => state, settled }
}
