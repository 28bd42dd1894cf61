// JSON bodies. Decoded strictly: a byte sequence that is no UTF-8 is refused instead of turned into replacement signs,
// which would store something other than what the client sent and signed.

import { RipstopError } from '@ripstop/kernel'

const utf8 = new TextDecoder('utf-8', { fatal: true })

/** Throws BAD_REQUEST that says where the JSON breaks, without showing it. Empty is undefined. */
export function parseJsonBody(bytes: Buffer): unknown {
  if (bytes.length === 0) return undefined
  let text: string
  try {
    text = utf8.decode(bytes)
  } catch (cause) {
    throw new RipstopError('BAD_REQUEST', 'the body is not valid UTF-8', { cause })
  }
  try {
    return JSON.parse(text)
  } catch (cause) {
    const said = cause instanceof Error ? cause.message : ''
    const position = /at position (\d+)/.exec(said)?.[1]
    const where =
      position !== undefined ? `: it breaks at position ${position}` : said.includes('end') ? ': it ends too early' : ''
    throw new RipstopError('BAD_REQUEST', `the body is not valid JSON${where}`)
  }
}
