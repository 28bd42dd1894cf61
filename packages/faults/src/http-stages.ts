// HTTP toxics. Each sits on both directions of a connection: the requests tell which answers have no body and where
// the protocol ends, the responses are replaced, cut off or left alone; or the requests are sent twice.
// Invariants:
//   HX1. Every `every`-th message is hit, counted over all connections of the proxy; all others pass unchanged.
//   HX2. A toxic removed in mid-message finishes that message as it began it.
//   HX3. What is not HTTP/1 passes unchanged.

import { HttpFramer, type HttpHead } from './http-framer.ts'
import { type ConnectionPort, numberOf, type RunningToxic, Stage, type StageOutput } from './stage.ts'

/** What one connection has under way. */
interface Exchange {
  /** Methods of the requests that were not answered yet, oldest first. */
  readonly methods: string[]
  /** No HTTP (any more): both directions pass everything. */
  raw: boolean
}

/** How one response is treated. */
interface Treatment {
  readonly head: (bytes: Buffer, head: HttpHead) => void
  readonly body: (bytes: Buffer) => void
}

const PIPELINED_MAX = 1_000 // unanswered requests on one connection; beyond, it is raw
const COPY_MAX = 262_144 // bytes of a request that is sent twice; a longer one is sent once

/** Puts a replacement in the place of the response, or resets in its body, by the type of the toxic. */
export function addResponseToxic(port: ConnectionPort, toxic: RunningToxic): void {
  const exchange: Exchange = { methods: [], raw: false }
  port.addStage('upstream', (output) => new RequestStage(output, exchange, undefined))
  port.addStage('downstream', (output) => {
    const pass: Treatment = { head: output.data, body: output.data }
    const hit = (method: string): Treatment =>
      toxic.type === 'http_error' ? createReplacement(port, toxic, output, method) : createReset(port, toxic, output)
    return new ResponseStage(output, exchange, (method) => (isHit(toxic) ? hit(method) : pass), pass)
  })
}

/** Sends requests twice. */
export function addDuplicate(port: ConnectionPort, toxic: RunningToxic): void {
  const exchange: Exchange = { methods: [], raw: false }
  const pass = (output: StageOutput): Treatment => ({ head: output.data, body: output.data })
  port.addStage('upstream', (output) => {
    return new RequestStage(output, exchange, (request, method) => {
      if (isHit(toxic)) port.sendCopy(request, method)
    })
  })
  // It only watches for the end of HTTP: what follows an upgrade is not sent twice.
  port.addStage('downstream', (output) => new ResponseStage(output, exchange, () => pass(output), pass(output)))
}

function isHit(toxic: RunningToxic): boolean {
  return ++toxic.seen % numberOf(toxic, 'every') === 0
}

function createReplacement(port: ConnectionPort, toxic: RunningToxic, output: StageOutput, method: string): Treatment {
  return {
    head: (bytes, head) => {
      const status = numberOf(toxic, 'status')
      const text = JSON.stringify({ error: 'injected by the fault proxy', status })
      const body = method === 'HEAD' || status === 204 || status === 304 ? '' : text
      const last = head.startLine.startsWith('HTTP/1.0') || /close/i.test(head.headers.get('connection') ?? '')
      const lines = [
        `HTTP/1.1 ${status} Injected`,
        'content-type: application/json',
        ...(status === 204 ? [] : [`content-length: ${Buffer.byteLength(text)}`]),
        `connection: ${last ? 'close' : 'keep-alive'}`,
        'x-fault: http_error',
      ]
      port.countDropped(bytes.length)
      output.data(Buffer.from(`${lines.join('\r\n')}\r\n\r\n${body}`))
    },
    body: (bytes) => port.countDropped(bytes.length),
  }
}

function createReset(port: ConnectionPort, toxic: RunningToxic, output: StageOutput): Treatment {
  let leftBytes = numberOf(toxic, 'bytes')
  const resetIfDue = (): void => {
    if (leftBytes === 0) port.reset(true)
  }
  return {
    head: (bytes) => {
      output.data(bytes)
      resetIfDue()
    },
    body: (bytes) => {
      const piece = bytes.subarray(0, leftBytes)
      leftBytes -= piece.length
      output.data(piece)
      resetIfDue()
    },
  }
}

type OnRequest = (request: Buffer, method: string) => void

class RequestStage extends Stage {
  readonly #exchange: Exchange
  readonly #framer: HttpFramer
  #onRequest: OnRequest | undefined
  #method = ''
  #kept: Buffer[] = []
  #keptBytes = 0
  #copied = false

  constructor(output: StageOutput, exchange: Exchange, onRequest: OnRequest | undefined) {
    super(output)
    this.#exchange = exchange
    this.#onRequest = onRequest
    this.#framer = new HttpFramer('request', {
      head: (bytes, head) => this.#head(bytes, head),
      body: (bytes) => this.#pass(bytes),
      end: () => this.#requestEnd(),
      raw: (bytes) => {
        exchange.raw = true
        output.data(bytes)
      },
    })
  }

  override get heldBytes(): number {
    return this.#framer.heldBytes
  }

  override data(chunk: Buffer): void {
    if (this.#exchange.raw) {
      this.#framer.close()
      this.output.data(chunk)
    } else this.#framer.push(chunk)
  }

  override end(): void {
    this.#framer.close()
    this.output.end()
  }

  override heal(): boolean {
    this.#onRequest = undefined
    this.#forget()
    return this.#framer.between || this.#exchange.raw
  }

  #head(bytes: Buffer, head: HttpHead): 'framed' | 'upgraded' {
    this.#method = head.startLine.slice(0, head.startLine.indexOf(' '))
    if (this.#exchange.methods.push(this.#method) > PIPELINED_MAX) this.#exchange.raw = true
    this.#copied = this.#onRequest !== undefined && !head.headers.has('upgrade') && this.#method !== 'CONNECT'
    this.#pass(bytes)
    return this.#exchange.raw ? 'upgraded' : 'framed'
  }

  #pass(bytes: Buffer): void {
    if (this.#copied) {
      this.#kept.push(bytes)
      this.#keptBytes += bytes.length
      if (this.#keptBytes > COPY_MAX) this.#forget()
    }
    this.output.data(bytes)
  }

  #requestEnd(): void {
    if (this.#copied) this.#onRequest?.(Buffer.concat(this.#kept), this.#method)
    this.#forget()
  }

  #forget(): void {
    this.#copied = false
    this.#kept = []
    this.#keptBytes = 0
  }
}

class ResponseStage extends Stage {
  readonly #exchange: Exchange
  readonly #framer: HttpFramer
  readonly #pass: Treatment
  #choose: (method: string) => Treatment
  #treatment: Treatment
  #interim = false
  #joined = false

  constructor(output: StageOutput, exchange: Exchange, choose: (method: string) => Treatment, pass: Treatment) {
    super(output)
    this.#exchange = exchange
    this.#choose = choose
    this.#pass = pass
    this.#treatment = pass
    this.#framer = new HttpFramer('response', {
      head: (bytes, head) => this.#head(bytes, head),
      body: (bytes) => this.#treatment.body(bytes),
      end: () => {
        if (!this.#interim) this.#treatment = pass
      },
      raw: (bytes) => {
        exchange.raw = true
        output.data(bytes)
      },
    })
  }

  override get heldBytes(): number {
    return this.#framer.heldBytes
  }

  override data(chunk: Buffer): void {
    // On a connection that was already open, answers to requests that were not seen pass as they are.
    this.#joined ||= this.#exchange.methods.length > 0
    if (this.#exchange.raw) {
      this.#framer.close()
      this.output.data(chunk)
    } else if (this.#joined) this.#framer.push(chunk)
    else this.output.data(chunk)
  }

  override end(): void {
    this.#framer.close()
    this.output.end()
  }

  override heal(): boolean {
    this.#choose = () => this.#pass
    return this.#framer.between || this.#exchange.raw
  }

  #head(bytes: Buffer, head: HttpHead): 'framed' | 'bodyless' | 'upgraded' {
    const status = Number(head.startLine.slice(9, 12))
    this.#interim = status < 200 && status !== 101
    const method = this.#exchange.methods[0] ?? 'GET'
    if (status === 101 || (method === 'CONNECT' && status < 300)) {
      this.#exchange.raw = true
      this.output.data(bytes)
      return 'upgraded'
    }
    if (this.#interim) {
      this.#pass.head(bytes, head)
      return 'bodyless'
    }
    this.#exchange.methods.shift()
    this.#treatment = this.#choose(method)
    this.#treatment.head(bytes, head)
    return method === 'HEAD' || status === 204 || status === 304 ? 'bodyless' : 'framed'
  }
}
