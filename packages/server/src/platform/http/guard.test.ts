import { IncomingMessage } from 'node:http'
import { Socket } from 'node:net'
import { describe, expect, test } from 'vitest'
import { createRequestGuard } from './guard.ts'

function requestWith(headers: Record<string, string>, more: { url?: string; method?: string; raw?: string[] } = {}) {
  const request = new IncomingMessage(new Socket())
  request.url = more.url ?? '/v1/keys'
  request.method = more.method ?? 'GET'
  Object.assign(request.headers, headers)
  request.rawHeaders = more.raw ?? Object.entries(headers).flat()
  return request
}

const open = createRequestGuard({ mode: 'open', host: '127.0.0.1', allowedOrigins: ['https://app.example.com'] })
const keys = createRequestGuard({ mode: 'keys', host: '0.0.0.0', allowedOrigins: [] })

describe('the guard', () => {
  test.each([
    'localhost',
    'localhost:3000',
    'LOCALHOST:9',
    'localhost.',
    'mesh.localhost:3000',
    '127.0.0.1',
    '127.0.0.1:8080',
    '127.1.2.3',
    '[::1]:3000',
    '[::1]',
  ])('HG1: open mode lets the loopback name %s pass', (host) => expect(open(requestWith({ host }))).toBeUndefined())

  test.each([
    'evil.example',
    'evil.example:3000',
    'localhost.evil.example',
    '127.0.0.1.evil.example',
    '192.168.0.7',
    '[::2]',
    '0.0.0.0',
    '',
    'a b',
    '127.0.0.1:x',
    '[127.0.0.1',
    'notlocalhost',
    '1270.0.0.1',
    '::1',
  ])('HG1: open mode refuses the Host "%s", as DNS rebinding would send it', (host) =>
    expect(open(requestWith({ host }))?.code).toBe('HOST_REFUSED'),
  )

  test('HG1: a request without any Host is refused', () => {
    expect(open(requestWith({}))?.code).toBe('HOST_REFUSED')
  })

  test.each(['https://app.example.com', 'http://localhost:3000'])('HG2: the origin %s may call', (origin) => {
    expect(open(requestWith({ host: 'localhost:3000', origin }))).toBeUndefined()
  })

  test.each([
    'https://evil.example',
    'null',
    'http://localhost:5173',
    'https://localhost:3000',
    'http://app.example.com',
    '',
    'https://app.example.com.evil.example',
  ])('HG2: the foreign origin "%s" may not', (origin) =>
    expect(open(requestWith({ host: 'localhost:3000', origin }))?.code).toBe('ORIGIN_REFUSED'),
  )

  test('HG2: what another site embeds without an Origin is refused, a link to a page is not', () => {
    const crossSite = { host: 'localhost', 'sec-fetch-site': 'cross-site' }
    expect(open(requestWith({ ...crossSite, 'sec-fetch-mode': 'no-cors' }))?.code).toBe('ORIGIN_REFUSED')
    expect(open(requestWith({ ...crossSite, 'sec-fetch-mode': 'navigate' }))).toBeUndefined()
    expect(open(requestWith({ ...crossSite, 'sec-fetch-mode': 'navigate' }, { method: 'POST' }))?.code).toBe(
      'ORIGIN_REFUSED',
    )
    expect(
      open(requestWith({ host: 'localhost', 'sec-fetch-site': 'same-origin', 'sec-fetch-mode': 'cors' })),
    ).toBeUndefined()
  })

  test('with API keys any Host and Origin may pass: a foreign page has no key to send', () => {
    expect(keys(requestWith({ host: 'mesh.example.com', origin: 'https://evil.example' }))).toBeUndefined()
  })

  test('two Host headers and an absolute target are refused in every mode', () => {
    const raw = ['Host', 'localhost', 'HOST', 'evil.example']
    for (const guard of [open, keys]) {
      expect(guard(requestWith({ host: 'localhost' }, { raw }))?.code).toBe('BAD_REQUEST')
      expect(guard(requestWith({ host: 'localhost' }, { url: 'http://localhost/livez' }))?.code).toBe('BAD_REQUEST')
    }
    expect(open(requestWith({ host: 'localhost' }, { url: '*', method: 'OPTIONS' }))).toBeUndefined()
  })
})
