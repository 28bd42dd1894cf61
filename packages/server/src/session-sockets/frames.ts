// WebSocket frames (RFC 6455, section 5.2), as a server writes them: not masked, not compressed, whole. Frames for many sockets are built once and
// written as they are; several in one write are one system call (8 in one: 7 to 11 times the messages of 8 writes, 2026-11).
// Invariants:
//   FO1. What is encoded is read back by any WebSocket client as the same texts, in the same order.

const FIN_TEXT = 0x81
const FIN_PING = 0x89
const FIN_PONG = 0x8a
const SHORT_MAX = 125
const MEDIUM_MAX = 0xffff

/** One frame for each text, one after the other. */
export function encodeFrames(texts: readonly string[]): Buffer {
  let size = 0
  for (const text of texts) {
    const bytes = Buffer.byteLength(text)
    size += headBytes(bytes) + bytes
  }
  // Not of the pool: a frame that waits for a slow socket would keep 8 KB for its 200 bytes.
  const frames = Buffer.allocUnsafeSlow(size)
  let at = 0
  for (const text of texts) {
    const bytes = Buffer.byteLength(text)
    at = writeHead(frames, at, bytes)
    at += frames.write(text, at)
  }
  return frames
}

/** A ping whose payload is a moment. */
export function encodePing(momentMs: number): Buffer {
  const frame = Buffer.allocUnsafeSlow(10)
  frame[0] = FIN_PING
  frame[1] = 8
  frame.writeDoubleBE(momentMs, 2)
  return frame
}

/** The moment that a pong gives back; undefined: it is none of ours. */
export function readMoment(payload: Buffer): number | undefined {
  return payload.length === 8 ? payload.readDoubleBE(0) : undefined
}

/** `payload`: that of a ping, at most 125 bytes. */
export function encodePong(payload: Buffer): Buffer {
  return Buffer.concat([Buffer.of(FIN_PONG, payload.length), payload])
}

function headBytes(bytes: number): number {
  if (bytes <= SHORT_MAX) return 2
  return bytes <= MEDIUM_MAX ? 4 : 10
}

function writeHead(frames: Buffer, at: number, bytes: number): number {
  frames[at] = FIN_TEXT
  if (bytes <= SHORT_MAX) {
    frames[at + 1] = bytes
    return at + 2
  }
  if (bytes <= MEDIUM_MAX) {
    frames[at + 1] = 126
    return frames.writeUInt16BE(bytes, at + 2)
  }
  frames[at + 1] = 127
  frames.writeUInt32BE(Math.floor(bytes / 0x1_0000_0000), at + 2)
  return frames.writeUInt32BE(bytes >>> 0, at + 6)
}
