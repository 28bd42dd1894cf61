// A client that always gets an answer: what came back, or in what way nothing did, and how long it took. One connection a
// request, so that no request's fate depends on another's.

import { type Agent, request } from 'node:http'

export interface AskOptions {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  /** An object is sent as JSON. */
  readonly body?: string | Buffer | object
  /** For requests on a connection that stays [each has its own]. */
  readonly agent?: Agent
  /** After this the request counts as hung [15 s]. */
  readonly limitMs?: number
}

export interface Answer {
  /** 0: there was no whole answer. */
  readonly status: number
  /** Of the error envelope; else of the socket's error; HUNG if nothing came within the limit. */
  readonly code: string | undefined
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly text: string
  /** Undefined if it is no JSON. */
  readonly json: unknown
  readonly ms: number
}

const LIMIT_MS = 15_000

/** Never rejects. */
export function ask(base: string, path: string, options: AskOptions = {}): Promise<Answer> {
  const { method = 'GET', agent = false, limitMs = LIMIT_MS } = options
  const { body, headers } = encode(options)
  const startedMs = performance.now()
  return new Promise((resolve) => {
    const end = (answer: Partial<Answer>): void => {
      clearTimeout(timer)
      const ms = performance.now() - startedMs
      resolve({ status: 0, code: undefined, headers: {}, text: '', json: undefined, ...answer, ms })
    }
    const sent = request(new URL(path, base), { method, headers, agent }, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk
      })
      response.once('error', (error) => end({ code: codeOf(error) })) // broken off
      response.once('end', () => {
        const json = parse(text)
        end({ status: response.statusCode ?? 0, headers: response.headers, text, json, code: envelopeCode(json) })
      })
    })
    const timer = setTimeout(() => {
      end({ code: 'HUNG' })
      sent.destroy()
    }, limitMs)
    sent.on('error', (error) => end({ code: codeOf(error) }))
    sent.end(body)
  })
}

function encode({ body, headers = {} }: AskOptions): { body?: string | Buffer; headers: Record<string, string> } {
  if (body === undefined) return { headers: { ...headers } }
  const isRaw = typeof body === 'string' || Buffer.isBuffer(body)
  const bytes = isRaw ? body : JSON.stringify(body)
  const length = { 'content-length': String(Buffer.byteLength(bytes)) }
  return { body: bytes, headers: { ...(isRaw ? {} : { 'content-type': 'application/json' }), ...length, ...headers } }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function envelopeCode(json: unknown): string | undefined {
  return errorOf({ json })?.code
}

/** The error of the envelope. */
export function errorOf({ json }: Pick<Answer, 'json'>):
  | {
      readonly code: string
      readonly message: string
      readonly retry_after_ms?: number
      readonly details?: Record<string, unknown>
    }
  | undefined {
  const error = (json as { readonly error?: ReturnType<typeof errorOf> } | undefined)?.error
  return typeof error?.code === 'string' ? error : undefined
}

/** What is in the envelope of a success. */
export function dataOf<T>({ json, status, text }: Answer): T {
  const data = (json as { readonly data?: T } | undefined)?.data
  if (data === undefined) throw new Error(`no data but ${status}: ${text.slice(0, 500)}`)
  return data
}

function codeOf(error: Error & { readonly code?: string }): string {
  return error.code ?? error.message
}
