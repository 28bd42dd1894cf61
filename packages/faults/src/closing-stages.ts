// Toxics that end connections: by bytes (limit_data), by time (timeout, reset_peer, slow_close) or in the handshake.
// Invariants:
//   CS1. limit_data passes exactly its bytes, then closes.
//   CS2. timeout passes nothing, and what it held never comes back: removing it closes the connection.

import { type ConnectionPort, numberOf, type RunningToxic, Stage, type StageOutput } from './stage.ts'

export function addLimitData(port: ConnectionPort, toxic: RunningToxic): void {
  port.addStage(toxic.stream, (output) => new LimitData(output, port, toxic))
}

class LimitData extends Stage {
  readonly #port: ConnectionPort
  readonly #toxic: RunningToxic
  #sentBytes = 0

  constructor(output: StageOutput, port: ConnectionPort, toxic: RunningToxic) {
    super(output)
    this.#port = port
    this.#toxic = toxic
  }

  override data(chunk: Buffer): void {
    const piece = chunk.subarray(0, Math.max(0, numberOf(this.#toxic, 'bytes') - this.#sentBytes))
    this.#sentBytes += piece.length
    this.#port.countDropped(chunk.length - piece.length)
    this.output.data(piece)
    if (this.#sentBytes >= numberOf(this.#toxic, 'bytes')) this.#port.finish()
  }
}

export function addTimeout(port: ConnectionPort, toxic: RunningToxic): void {
  port.addStage(toxic.stream, (output) => new Timeout(output, port, toxic))
}

class Timeout extends Stage {
  readonly #port: ConnectionPort
  readonly #toxic: RunningToxic
  #cancel: (() => void) | undefined

  constructor(output: StageOutput, port: ConnectionPort, toxic: RunningToxic) {
    super(output)
    this.#port = port
    this.#toxic = toxic
    this.updated()
  }

  override data(chunk: Buffer): void {
    this.#port.countDropped(chunk.length)
  }

  override end(): void {
    this.#port.finish()
  }

  // Toxiproxy's code starts the time anew at each chunk; its documentation, which we follow, does not.
  override updated(): void {
    this.#cancel?.()
    const timeoutMs = numberOf(this.#toxic, 'timeout')
    if (timeoutMs > 0) this.#cancel = this.#port.clock.schedule(timeoutMs, () => this.#port.finish())
  }

  override heal(): boolean {
    this.#port.finish()
    return true
  }

  override dispose(): void {
    this.#cancel?.()
  }
}

export function addResetPeer(port: ConnectionPort, toxic: RunningToxic): void {
  port.addStage(toxic.stream, (output) => new ResetPeer(output, port, toxic))
}

class ResetPeer extends Stage {
  readonly #port: ConnectionPort
  readonly #toxic: RunningToxic
  #cancel: (() => void) | undefined

  constructor(output: StageOutput, port: ConnectionPort, toxic: RunningToxic) {
    super(output)
    this.#port = port
    this.#toxic = toxic
  }

  override data(chunk: Buffer): void {
    this.#port.countDropped(chunk.length)
    this.end()
  }

  override end(): void {
    const timeoutMs = numberOf(this.#toxic, 'timeout')
    if (timeoutMs === 0) return this.#port.reset()
    this.#cancel ??= this.#port.clock.schedule(timeoutMs, () => this.#port.reset())
  }

  /** Bytes that it dropped can't come back: a connection that it already hit is reset at once. */
  override heal(): boolean {
    if (this.#cancel !== undefined) this.#port.reset()
    return true
  }

  override dispose(): void {
    this.#cancel?.()
  }
}

export function addSlowClose(port: ConnectionPort, toxic: RunningToxic): void {
  port.addStage(toxic.stream, (output) => new SlowClose(output, port, toxic))
}

class SlowClose extends Stage {
  readonly #port: ConnectionPort
  readonly #toxic: RunningToxic
  #cancel: (() => void) | undefined

  constructor(output: StageOutput, port: ConnectionPort, toxic: RunningToxic) {
    super(output)
    this.#port = port
    this.#toxic = toxic
  }

  override data(chunk: Buffer): void {
    this.output.data(chunk)
  }

  override end(): void {
    this.#cancel = this.#port.clock.schedule(numberOf(this.#toxic, 'delay'), () => this.#passEnd())
  }

  override heal(): boolean {
    if (this.#cancel !== undefined) this.#passEnd()
    return true
  }

  override dispose(): void {
    this.#cancel?.()
  }

  #passEnd(): void {
    this.#cancel?.()
    this.#cancel = undefined
    this.output.end()
  }
}

/** For a new connection: passes what the client says and the first bytes of the answer, then lets it die. */
export function addDieInHandshake(port: ConnectionPort, toxic: RunningToxic): void {
  const handshake = { spoken: false, passedBytes: 0 }
  const dieIfDue = (): void => {
    if (!handshake.spoken || handshake.passedBytes < numberOf(toxic, 'bytes')) return
    if (toxic.attributes.reset === true) port.reset(true)
    else port.finish()
  }
  port.addStage('upstream', (output) => new HandshakeQuestion(output, handshake, dieIfDue))
  port.addStage('downstream', (output) => new HandshakeAnswer(output, handshake, dieIfDue, toxic))
}

interface Handshake {
  spoken: boolean
  passedBytes: number
}

class HandshakeQuestion extends Stage {
  readonly #handshake: Handshake
  readonly #dieIfDue: () => void

  constructor(output: StageOutput, handshake: Handshake, dieIfDue: () => void) {
    super(output)
    this.#handshake = handshake
    this.#dieIfDue = dieIfDue
  }

  override data(chunk: Buffer): void {
    this.#handshake.spoken = true
    this.output.data(chunk)
    this.#dieIfDue()
  }
}

class HandshakeAnswer extends Stage {
  readonly #handshake: Handshake
  readonly #dieIfDue: () => void
  readonly #toxic: RunningToxic

  constructor(output: StageOutput, handshake: Handshake, dieIfDue: () => void, toxic: RunningToxic) {
    super(output)
    this.#handshake = handshake
    this.#dieIfDue = dieIfDue
    this.#toxic = toxic
  }

  override data(chunk: Buffer): void {
    // A server that speaks first (MySQL, SMTP) may say more than `bytes` before the client answers.
    const leftBytes = numberOf(this.#toxic, 'bytes') - this.#handshake.passedBytes
    const piece = this.#handshake.spoken ? chunk.subarray(0, Math.max(0, leftBytes)) : chunk
    this.#handshake.passedBytes += piece.length
    this.output.data(piece)
    this.#dieIfDue()
  }
}
