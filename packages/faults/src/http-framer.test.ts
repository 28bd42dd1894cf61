import fc from 'fast-check'
import { expect, test } from 'vitest'
import { HttpFramer } from './http-framer.ts'

interface Found {
  readonly events: string[]
  readonly bytes: string
}

/** What the framer makes of `pieces`; `bodyless` names start lines whose message has no body. */
function frame(kind: 'request' | 'response', pieces: readonly Buffer[], bodyless = /^HTTP\/1.1 (1|204|304)/): Found {
  const events: string[] = []
  let bytes = ''
  let body = ''
  const framer = new HttpFramer(kind, {
    head: (raw, head) => {
      bytes += raw.toString('latin1')
      events.push(head.startLine)
      if (head.startLine.includes(' 101 ')) return 'upgraded'
      return bodyless.test(head.startLine) ? 'bodyless' : 'framed'
    },
    body: (raw) => {
      bytes += raw.toString('latin1')
      body += raw.toString('latin1')
    },
    end: () => {
      events.push(`end of ${body.length}`)
      body = ''
    },
    raw: (raw) => {
      bytes += raw.toString('latin1')
      if (events.at(-1) !== 'raw') events.push('raw')
    },
  })
  for (const piece of pieces) framer.push(piece)
  framer.close()
  return { events, bytes }
}

const one = (text: string): Buffer[] => [Buffer.from(text, 'latin1')]

test('finds messages by length, by chunks and without a body', () => {
  const text =
    'POST /a HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello' +
    'GET /b HTTP/1.1\r\nHost: x\r\n\r\n' +
    'PUT /c HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n3;ext=1\r\nabc\r\nA\r\n0123456789\r\n0\r\nTrailer: t\r\n\r\n' +
    'GET /d HTTP/1.1\r\n\r\n'
  expect(frame('request', one(text))).toEqual({
    events: [
      'POST /a HTTP/1.1',
      'end of 5',
      'GET /b HTTP/1.1',
      'end of 0',
      'PUT /c HTTP/1.1',
      'end of 46',
      'GET /d HTTP/1.1',
      'end of 0',
    ],
    bytes: text,
  })
})

test('finds responses, also those that last until the close', () => {
  const text = 'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No\r\n\r\nHTTP/1.1 200 OK\r\n\r\nuntil the close'
  expect(frame('response', one(text))).toEqual({
    events: ['HTTP/1.1 100 Continue', 'end of 0', 'HTTP/1.1 204 No', 'end of 0', 'HTTP/1.1 200 OK', 'end of 15'],
    bytes: text,
  })
})

test('what follows an upgrade is raw', () => {
  const text = 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\nHTTP/1.1 frames'
  expect(frame('response', one(text)).events).toEqual(['HTTP/1.1 101 Switching Protocols', 'raw'])
})

test.each([
  ['Redis', '*1\r\n$4\r\nPING\r\n'],
  ['TLS', '\x16\x03\x01\x02\x00\x01\x00\x01'],
  ['Postgres', '\x00\x00\x00\x08\x04\xd2\x16\x2f'],
  ['a head without an end', `GET / HTTP/1.1\r\nx: ${'y'.repeat(70_000)}`],
  ['a chunk size that is none', 'POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nmore'],
  ['an endless chunk line', `POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n${'1'.repeat(5_000)}`],
])('HF1: %s is raw, and not a byte is lost', (_name, text) => {
  const found = frame('request', one(text))
  expect(found.events).toContain('raw')
  expect(found.bytes).toBe(text)
})

test('HF1, HF2: however the bytes are cut, the same messages are found and every byte goes out once', () => {
  const message = fc.oneof(
    fc
      .string({ maxLength: 40 })
      .map((body) => `POST /l HTTP/1.1\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`),
    fc.constant('GET /g HTTP/1.1\r\nHost: h\r\n\r\n'),
    fc
      .array(fc.string({ minLength: 1, maxLength: 20 }), { maxLength: 3 })
      .map((parts) => parts.map((part) => `${Buffer.byteLength(part).toString(16)}\r\n${part}\r\n`).join(''))
      .map((chunks) => `POST /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n${chunks}0\r\n\r\n`),
    fc.constant('\x00\x01 not HTTP at all'),
  )
  fc.assert(
    fc.property(fc.array(message, { maxLength: 4 }), fc.array(fc.integer({ min: 1, max: 30 })), (messages, cuts) => {
      const all = Buffer.from(messages.join(''))
      const pieces: Buffer[] = []
      let rest = all
      for (const cut of cuts) {
        pieces.push(rest.subarray(0, cut))
        rest = rest.subarray(cut)
      }
      pieces.push(rest)
      const whole = frame('request', [all])
      expect(frame('request', pieces)).toEqual(whole)
      expect(whole.bytes).toBe(all.toString('latin1'))
    }),
    { numRuns: 300 },
  )
})
