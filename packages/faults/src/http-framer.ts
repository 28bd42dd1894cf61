// HTTP framer. Finds where HTTP/1 messages begin and end in a stream of bytes, without changing them: heads, bodies by
// length, chunks or close. It trusts what it sees: it serves tests, and is no guard against smuggling.
// What it can't follow (HTTP/2, TLS, a head over HEAD_MAX, a connection joined in mid-message) it calls `raw`, and
// everything from there on too.
// Invariants:
//   HF1. Every byte that comes in goes out once, in order, as head, body or raw.
//   HF2. However the bytes are cut, the same messages are found.

/** The longest head that is kept together; beyond it, the connection is raw. */
const HEAD_MAX = 65_536
const CHUNK_LINE_MAX = 4_096

export interface HttpHead {
  readonly startLine: string
  /** First value of a header by its lower-case name. */
  readonly headers: ReadonlyMap<string, string>
}

export interface HttpSink {
  /** A head is complete. Says how its body ends: by its headers, not at all, or that HTTP ends with this head. */
  readonly head: (bytes: Buffer, head: HttpHead) => 'framed' | 'bodyless' | 'upgraded'
  /** Body bytes as on the wire, chunk framing included. */
  readonly body: (bytes: Buffer) => void
  readonly end: () => void
  readonly raw: (bytes: Buffer) => void
}

type State = 'head' | 'length' | 'chunk-line' | 'chunk-data' | 'trailer' | 'until-close' | 'raw'

export class HttpFramer {
  readonly #sink: HttpSink
  readonly #isStart: (text: string) => boolean
  readonly #closeDelimited: boolean
  #state: State = 'head'
  #partial: Buffer = Buffer.alloc(0)
  #leftBytes = 0

  constructor(kind: 'request' | 'response', sink: HttpSink) {
    this.#sink = sink
    this.#closeDelimited = kind === 'response'
    this.#isStart =
      kind === 'request'
        ? (text) => /^[A-Z][A-Z-]{0,19}( |$)/.test(text)
        : (text) => text.startsWith('HTTP/1.') || 'HTTP/1.'.startsWith(text)
  }

  /** True when no message is under way: nothing held, nothing half-way. */
  get between(): boolean {
    return this.#state === 'raw' || (this.#state === 'head' && this.#partial.length === 0)
  }

  get heldBytes(): number {
    return this.#partial.length
  }

  push(chunk: Buffer): void {
    let rest = chunk
    while (rest.length > 0) rest = this.#step(rest)
  }

  /** The stream ended: what is held goes out, and a body that lasts until the close is complete. */
  close(): void {
    if (this.#state === 'until-close') this.#finish()
    else this.#giveUp()
  }

  #step(rest: Buffer): Buffer {
    switch (this.#state) {
      case 'head':
        return this.#takeHead(rest)
      case 'length':
      case 'chunk-data': {
        const bytes = rest.subarray(0, this.#leftBytes)
        this.#leftBytes -= bytes.length
        this.#sink.body(bytes)
        if (this.#leftBytes === 0 && this.#state === 'length') this.#finish()
        else if (this.#leftBytes === 0 && this.#state === 'chunk-data') this.#state = 'chunk-line'
        return rest.subarray(bytes.length)
      }
      case 'chunk-line':
      case 'trailer':
        return this.#takeLine(rest)
      case 'until-close':
        this.#sink.body(rest)
        return Buffer.alloc(0)
      case 'raw':
        this.#sink.raw(rest)
        return Buffer.alloc(0)
    }
  }

  #takeHead(rest: Buffer): Buffer {
    const held = this.#partial.length
    const all = held === 0 ? rest : Buffer.concat([this.#partial, rest])
    const end = all.indexOf('\r\n\r\n')
    if ((held < 20 && !this.#isStart(all.toString('latin1', 0, 20))) || (end < 0 && all.length > HEAD_MAX)) {
      this.#partial = all
      this.#giveUp()
      return Buffer.alloc(0)
    }
    if (end < 0) {
      this.#partial = all
      return Buffer.alloc(0)
    }
    this.#partial = Buffer.alloc(0)
    const bytes = all.subarray(0, end + 4)
    const head = parseHead(bytes)
    this.#enterBody(this.#sink.head(bytes, head), head)
    return all.subarray(end + 4)
  }

  #enterBody(kind: 'framed' | 'bodyless' | 'upgraded', head: HttpHead): void {
    const length = head.headers.get('content-length')
    if (kind === 'upgraded') this.#state = 'raw'
    else if (kind === 'bodyless') this.#finish()
    else if (/chunked\s*$/i.test(head.headers.get('transfer-encoding') ?? '')) this.#state = 'chunk-line'
    else if (length !== undefined && /^\d{1,15}$/.test(length)) {
      this.#leftBytes = Number(length)
      if (this.#leftBytes === 0) this.#finish()
      else this.#state = 'length'
    } else if (this.#closeDelimited) this.#state = 'until-close'
    else this.#finish()
  }

  /** A chunk's size line, or a line after the last chunk. Lines go out when they are complete. */
  #takeLine(rest: Buffer): Buffer {
    const newline = rest.indexOf(10)
    const part = newline < 0 ? rest : rest.subarray(0, newline + 1)
    const line = Buffer.concat([this.#partial, part])
    this.#partial = newline < 0 ? line : Buffer.alloc(0)
    if (line.length > CHUNK_LINE_MAX) {
      this.#partial = line
      this.#giveUp()
    } else if (newline >= 0) {
      this.#sink.body(line)
      this.#afterLine(line.toString('latin1').trim())
    }
    return rest.subarray(part.length)
  }

  #afterLine(text: string): void {
    if (this.#state === 'trailer') {
      if (text === '') this.#finish()
      return
    }
    const size = Number.parseInt(text, 16)
    if (Number.isNaN(size)) return this.#giveUp()
    if (size === 0) this.#state = 'trailer'
    else {
      this.#leftBytes = size + 2 // its CRLF
      this.#state = 'chunk-data'
    }
  }

  #finish(): void {
    this.#state = 'head'
    this.#sink.end()
  }

  #giveUp(): void {
    const held = this.#partial
    this.#partial = Buffer.alloc(0)
    this.#state = 'raw'
    if (held.length > 0) this.#sink.raw(held)
  }
}

function parseHead(bytes: Buffer): HttpHead {
  const [startLine = '', ...lines] = bytes.toString('latin1').trimEnd().split('\r\n')
  const headers = new Map<string, string>()
  for (const line of lines) {
    const colon = line.indexOf(':')
    const name = line.slice(0, colon).toLowerCase()
    if (colon > 0 && !headers.has(name)) headers.set(name, line.slice(colon + 1).trim())
  }
  return { startLine, headers }
}
