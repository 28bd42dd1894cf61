// Copies of requests, for http_duplicate: each goes to the upstream on a connection of its own; the answer is read to
// its end and thrown away.
// Invariants:
//   RQ1. At most COPIES_MAX copies are under way, none for longer than COPY_MS; beyond, requests are sent once.

import { connect, type Socket } from 'node:net'
import type { Clock } from '@ripstop/kernel'
import { HttpFramer } from './http-framer.ts'
import { markOwnSocket } from './own-sockets.ts'

const COPIES_MAX = 64
const COPY_MS = 10_000

export interface RequestCopies {
  /** Sends a copy; false if too many are under way. */
  readonly send: (
    upstream: { readonly host: string; readonly port: number },
    request: Buffer,
    method: string,
  ) => boolean
  readonly abort: () => void
}

export function createRequestCopies(clock: Clock): RequestCopies {
  const underWay = new Set<Socket>()
  return {
    send: (upstream, request, method) => {
      if (underWay.size >= COPIES_MAX) return false
      const socket = connect({ ...upstream, noDelay: true })
      markOwnSocket(socket)
      underWay.add(socket)
      const cancel = clock.schedule(COPY_MS, () => socket.destroy())
      const answer = createAnswerFramer(method, () => socket.destroy())
      socket.on('data', (chunk) => answer.push(chunk))
      socket.on('error', () => {}) // the copy is a fault itself: how it fares is nobody's concern
      socket.on('close', () => {
        cancel()
        underWay.delete(socket)
      })
      socket.write(request)
      return true
    },
    abort: () => {
      for (const socket of underWay) socket.destroy()
    },
  }
}

function createAnswerFramer(method: string, done: () => void): HttpFramer {
  let interim = false
  return new HttpFramer('response', {
    head: (_bytes, head) => {
      const status = Number(head.startLine.slice(9, 12))
      interim = status < 200
      return interim || method === 'HEAD' || status === 204 || status === 304 ? 'bodyless' : 'framed'
    },
    body: () => {},
    end: () => {
      if (!interim) done()
    },
    raw: done,
  })
}
