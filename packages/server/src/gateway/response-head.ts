// Response head. From the raw header lines of an upstream to those for the client: what belongs to the connection is
// dropped, the rest keeps its order, its spelling and its bytes. Node's writer refuses what could split an answer in two.
// Invariants:
//   AH1. Status, reason and every header that is not meant for the connection arrive as the upstream sent them.
//   AH2. Nothing of the upstream's connection (hop-by-hop, or named in Connection) reaches the client.

export interface ResponseHead {
  readonly status: number
  readonly reason: string
  /** As undici has them. */
  readonly raw: readonly Buffer[]
  readonly connection: string
  readonly hasTrailers: boolean
}

const HOP_BY_HOP: ReadonlySet<string> = new Set([
  'te',
  'upgrade',
  'connection',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding', // ours is our own server's business
])
const HOP_LENGTHS: ReadonlySet<number> = new Set([...HOP_BY_HOP].map(({ length }) => length))
const TRAILER = 'trailer'
const CONTENT_LENGTH = 'content-length'

/** `mayTrail`: the client speaks HTTP/1.1, so that trailers can be sent. */
export function createResponseHeaders(head: ResponseHead, mayTrail: boolean): string[] {
  const named = namesIn(head.connection)
  const headers: string[] = []
  for (let index = 0; index + 1 < head.raw.length; index += 2) {
    const name = (head.raw[index] as Buffer).toString('latin1')
    if (HOP_LENGTHS.has(name.length) && HOP_BY_HOP.has(name.toLowerCase())) continue
    if (name.length === TRAILER.length && name.toLowerCase() === TRAILER && !(mayTrail && head.hasTrailers)) continue
    // No body follows a 204, so a length could only lead astray whoever believes it.
    if (head.status === 204 && name.length === CONTENT_LENGTH.length && name.toLowerCase() === CONTENT_LENGTH) continue
    if (named?.has(name.toLowerCase()) === true) continue
    headers.push(name, (head.raw[index + 1] as Buffer).toString('latin1'))
  }
  return headers
}

function namesIn(connection: string): ReadonlySet<string> | undefined {
  if (connection === '' || /^(?:keep-alive|close)$/i.test(connection)) return undefined
  const names = new Set(
    connection
      .toLowerCase()
      .split(',')
      .map((word) => word.trim()),
  )
  names.delete(CONTENT_LENGTH)
  return names
}
