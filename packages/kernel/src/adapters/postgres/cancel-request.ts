// CancelRequest (Postgres protocol, "Canceling Requests in Progress"): a connection of its own that carries 16 bytes and
// gets no answer. The server closes it once the signal is delivered; only after that may the cancelled connection be used
// again, else a late cancel would hit the next statement.

import { isIP, Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { Ctx } from '../../ctx.ts'
import { RipstopError } from '../../errors.ts'
import type { CancelKey, Host } from './connection.ts'
import { formatHost, type PostgresSettings } from './settings.ts'

const CANCEL_CODE = 80_877_102
const TLS_CODE = 80_877_103

/** Resolves when the server has taken the cancel (the statement may have ended before). Rejects by `ctx`. */
export function requestCancel(
  { ssl }: Pick<PostgresSettings, 'ssl'>,
  { host, port }: Host,
  key: CancelKey,
  ctx: Ctx,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = new Socket()
    let delivered = false
    let why: unknown
    const over = (): void => {
      why = ctx.signal.reason
      socket.destroy()
    }
    const send = (stream: Socket): void => {
      stream.write(encode(CANCEL_CODE, key.processId, key.secretKey), () => {
        delivered = true
      })
      stream.resume()
    }
    socket.on('error', (error) => {
      why = error
    })
    socket.on('close', () => {
      ctx.signal.removeEventListener('abort', over)
      if (delivered && why === undefined) return resolve()
      const message = `postgres: the cancel was not confirmed by ${formatHost({ host, port })}`
      reject(new RipstopError('LINK_LOST', message, { cause: why, sent: 'maybe' }))
    })
    if (ctx.signal.aborted) return over()
    ctx.signal.addEventListener('abort', over)
    socket.on('connect', () => {
      if (ssl === false) return send(socket)
      socket.write(encode(TLS_CODE))
      socket.once('data', (answer) => {
        if (answer.length !== 1 || answer[0] !== 0x53) return socket.destroy(new Error('the server refused TLS'))
        // SNI must not hold an address (RFC 6066, section 3).
        const secure = connectTls({ socket, host, ...(isIP(host) === 0 ? { servername: host } : {}), ...ssl })
        secure.on('error', (error) => socket.destroy(error))
        secure.on('close', () => socket.destroy())
        secure.on('secureConnect', () => send(secure))
      })
    })
    if (host.startsWith('/')) socket.connect(`${host}/.s.PGSQL.${port}`)
    else socket.connect(port, host)
  })
}

function encode(...words: readonly number[]): Buffer {
  const message = Buffer.alloc(4 + 4 * words.length)
  message.writeInt32BE(message.length, 0)
  for (const [index, word] of words.entries()) message.writeInt32BE(word, 4 + 4 * index)
  return message
}
