// WebSocket client. A generation is one connection: it carries every call, so that losing it fails what is under way
// (sharedFate). The library neither reconnects nor compresses; a peer that answers no ping is terminated by the link.

import type { ConnectionOptions } from 'node:tls'
import { WebSocket } from 'ws'
import type { Adapter, GenerationEvents } from '../../adapter.ts'
import type { Ctx } from '../../ctx.ts'
import { RipstopError } from '../../errors.ts'
import { openFault, websocketFault } from './fault.ts'
import { WebsocketPeer } from './websocket-peer.ts'

export interface WebsocketAdapterOptions {
  /** `ws://` or `wss://`; a user and password in it are never shown. */
  readonly url: string
  readonly protocols?: readonly string[]
  readonly headers?: Readonly<Record<string, string>>
  /** A longer message from the peer ends the connection, bytes [1 MiB]. */
  readonly payloadBytesMax?: number
  /** Beyond this much unsent, `send` refuses with OVERLOADED, bytes [1 MiB]. */
  readonly bufferedBytesMax?: number
  /**
   * Runs on every new connection before it is used, without losing a message: subscribe, log in, listen. Bounded by the
   * link's openDeadlineMs.
   */
  readonly hello?: (peer: WebsocketPeer, ctx: Ctx) => Promise<void> | void
  /** Certificates and names for wss; verified unless it says otherwise. */
  readonly tls?: Pick<ConnectionOptions, 'ca' | 'cert' | 'key' | 'servername' | 'rejectUnauthorized'>
}

const MEBIBYTE = 1_048_576

/** Throws CONFIG_INVALID for a url that is not ws:// or wss://. */
export function createWebsocketAdapter(options: WebsocketAdapterOptions): Adapter<WebsocketPeer> {
  const url = URL.canParse(options.url) ? new URL(options.url) : undefined
  if (url === undefined || !/^wss?:$/.test(url.protocol) || url.hash !== '') {
    throw new RipstopError('CONFIG_INVALID', 'websocket: url must be ws://… or wss://…, without a fragment')
  }
  const target = `${url.protocol}//${url.host}${url.pathname}`
  return {
    kind: 'websocket',
    target,
    sharedFate: true,
    open: (ctx, events) => open(url, target, options, ctx, events),
    probe: (peer, ctx) => peer.ping(ctx),
    close: (peer, because) => peer.close(because === 'drained'),
    fault: websocketFault,
  }
}

function open(
  url: URL,
  target: string,
  options: WebsocketAdapterOptions,
  ctx: Ctx,
  events: GenerationEvents,
): Promise<WebsocketPeer> {
  ctx.throwIfOver()
  const settings = {
    headers: { ...options.headers },
    handshakeTimeout: Math.max(1, Math.ceil(Math.min(ctx.remainingMs, 60_000))),
    maxPayload: options.payloadBytesMax ?? MEBIBYTE,
    perMessageDeflate: false, // its memory is not bounded by maxPayload, and a context per connection is dear
    followRedirects: false,
    skipUTF8Validation: false,
    autoPong: true,
    closeTimeout: 1_000, // not in the published types
    ...options.tls,
  }
  const socket = new WebSocket(url, [...(options.protocols ?? [])], settings)
  const peer = new WebsocketPeer(socket, options.bufferedBytesMax ?? MEBIBYTE)
  return new Promise((resolve, reject) => {
    const { signal } = ctx
    const abandon = (): void => fail(signal.reason)
    const fail = (error: unknown): void => {
      signal.removeEventListener('abort', abandon)
      socket.terminate()
      reject(openFault(error, target))
    }
    let opened = false
    const done = (): void => {
      opened = true
      signal.removeEventListener('abort', abandon)
      resolve(peer)
    }
    signal.addEventListener('abort', abandon, { once: true })
    // After opening, an error is followed by close, which says the same once.
    socket.on('error', fail)
    socket.on('close', (code) => {
      if (opened) events.lost(`closed with ${code}`)
      else fail(new RipstopError('LINK_LOST', `it was closed with ${code}`))
    })
    socket.once('open', () => {
      try {
        const greeted = options.hello?.(peer, ctx)
        if (greeted === undefined) done()
        else greeted.then(done, fail)
      } catch (error) {
        fail(error)
      }
    })
  })
}
