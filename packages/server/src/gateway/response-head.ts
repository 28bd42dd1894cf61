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
const TRAILER = 'trailer'
const CONTENT_LENGTH = 'content-length'
/** Names of another length need no look: most of them. */
const LENGTHS: readonly boolean[] = Array.from({ length: 24 }, (_, length) =>
  [...HOP_BY_HOP, TRAILER, CONTENT_LENGTH].some((name) => name.length === length),
)

/** `mayTrail`: the client speaks HTTP/1.1, so that trailers can be sent. */
export function createResponseHeaders(head: ResponseHead, mayTrail: boolean): string[] {
  const named = namesIn(head.connection)
  const headers: string[] = []
  for (let index = 0; index + 1 < head.raw.length; index += 2) {
    const name = (head.raw[index] as Buffer).toString('latin1')
    if (LENGTHS[name.length] === true && isDropped(name.toLowerCase(), head, mayTrail)) continue
    if (named?.has(name.toLowerCase()) === true) continue
    headers.push(name, (head.raw[index + 1] as Buffer).toString('latin1'))
  }
  return headers
}

function isDropped(name: string, head: ResponseHead, mayTrail: boolean): boolean {
  if (name === TRAILER) return !(mayTrail && head.hasTrailers)
  // No body follows a 204, so a length could only lead astray whoever believes it.
  if (name === CONTENT_LENGTH) return head.status === 204
  return HOP_BY_HOP.has(name)
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
