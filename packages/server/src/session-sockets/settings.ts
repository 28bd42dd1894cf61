// What sockets may cost. Each bound names what happens at it.

export interface SocketSettings {
  /** Of this process; a further one is refused with 503. */
  readonly socketsMax: number
  /** Of one session in this process; a further one is closed with 1013. */
  readonly socketsPerSessionMax: number
  /** Of anything that a connection sends; beyond: 1008. */
  readonly framesPerSecond: number
  /** Beyond: 1009. */
  readonly messageBytesMax: number
  /** Every socket is pinged this often; one that stays silent for as long is cut off. */
  readonly pingMs: number
  /** How long a client may take to say `sub`; then 1008. */
  readonly subscribeMs: number
  /** More than this unsent: it gets nothing until all is sent, then how things stand. */
  readonly behindBytes: number
  /** More than this unsent: 1013. */
  readonly unsentBytesMax: number
  /** So long behind: 1013. */
  readonly behindMs: number
  /** Of one connection under way; a further one is refused. */
  readonly commandsMax: number
  /** How long a command may take, and the reading of a session. */
  readonly answerMs: number
  /** Events that are kept and replayed; older ones: a snapshot. */
  readonly replayMax: number
  /** Changes of presence are gathered for so long. */
  readonly presenceMs: number
  /** A session that nobody watches is still followed for so long: whoever comes back finds its events. */
  readonly lingerMs: number
  /** A closing handshake; then the connection is cut off. */
  readonly closeMs: number
}

export const SOCKET_SETTINGS: SocketSettings = {
  socketsMax: 20_000,
  socketsPerSessionMax: 10_000,
  framesPerSecond: 50,
  messageBytesMax: 16_384,
  pingMs: 25_000,
  subscribeMs: 10_000,
  behindBytes: 65_536,
  unsentBytesMax: 1_048_576,
  behindMs: 30_000,
  commandsMax: 16,
  answerMs: 5_000,
  replayMax: 256,
  presenceMs: 500,
  lingerMs: 10_000,
  closeMs: 2_000,
}
