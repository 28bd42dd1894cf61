// One round trip on the connection that is reserved for probes. The answer is read to its end, so that the connection can
// be used again; an answer that goes on for ever is cut off, its head was proof enough.

import type { Client, Dispatcher } from 'undici'
import type { Ctx } from '../../ctx.ts'
import { RipstopError } from '../../errors.ts'

const ANSWER_BYTES_MAX = 65_536

export interface Probe {
  readonly path: string
  readonly method: 'GET' | 'HEAD' | 'OPTIONS'
  /** Strict: a 5xx proves nothing. */
  readonly strict: boolean
}

export function probeOnce(client: Client, { path, method, strict }: Probe, ctx: Ctx): Promise<void> {
  return new Promise((resolve, reject) => {
    let controller: Dispatcher.DispatchController | undefined
    let failure: Error | undefined
    let bytes = 0
    const { signal } = ctx
    const abandon = (): void => {
      reject(signal.reason)
      controller?.abort(signal.reason)
    }
    const end = (error: Error | undefined): void => {
      signal.removeEventListener('abort', abandon)
      if (error === undefined) resolve()
      else reject(error)
    }
    if (signal.aborted) return reject(signal.reason)
    signal.addEventListener('abort', abandon, { once: true })
    client.dispatch(
      { path, method, reset: false, headers: { 'user-agent': 'ripstop-probe', accept: '*/*' } },
      {
        onRequestStart: (given) => {
          controller = given
          if (signal.aborted) given.abort(signal.reason)
        },
        onResponseStart: (_controller, status) => {
          if (strict && status >= 500)
            failure = new RipstopError('PEER_FAILED', `the probe was answered with ${status}`)
        },
        onResponseData: (given, chunk) => {
          bytes += chunk.length
          if (bytes <= ANSWER_BYTES_MAX) return
          end(failure)
          given.abort(new RipstopError('CANCELLED', 'the rest of a long answer to a probe'))
        },
        onResponseEnd: () => end(failure),
        onResponseError: (_controller, error) => end(error),
      },
    )
  })
}
