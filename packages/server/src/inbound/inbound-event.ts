// What a provider told, as an event. Its `id` is the provider's, its `source` is `inbound/<name>`: what comes again is known again.

import { createHash } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import { RipstopError } from '@ripstop/kernel'
import type { RouteRequest } from '#platform/http'
import { RULES, type Scheme } from './scheme.ts'

type Raw = Pick<NonNullable<RouteRequest<unknown, unknown, unknown>['raw']>, 'bytes' | 'json'>

export interface InboundEvent {
  readonly specversion: '1.0'
  readonly id: string
  readonly source: string
  readonly type: string
  readonly data: unknown
}

const ID_LENGTH_MAX = 255
const TYPE_LENGTH_MAX = 128

/** JSON, or the fields of a form; a form's `payload` is JSON again (GitHub, Slack). Throws BAD_REQUEST. */
export function readBody(contentType: string | undefined, raw: Raw): unknown {
  if (!/^application\/x-www-form-urlencoded\b/i.test(contentType ?? '')) return raw.json()
  const fields = Object.fromEntries(new URLSearchParams(decodeText(raw.bytes)))
  return typeof fields.payload === 'string' ? parseJson(fields.payload) : fields
}

/** The event that is published. */
export function toEvent(
  { name, scheme }: { readonly name: string; readonly scheme: Scheme },
  headers: IncomingHttpHeaders,
  body: unknown,
): InboundEvent {
  const rules = RULES[scheme]
  const type = rules.typeOf(headers, body) ?? 'event'
  return {
    specversion: '1.0',
    id: nameOf(rules.idOf(headers, body), headers, body),
    source: `inbound/${name}`,
    // What a type may not hold becomes _: the data says it exactly.
    type: `${name}.${type.replaceAll(/[^A-Za-z0-9._:/-]/g, '_')}`.slice(0, TYPE_LENGTH_MAX),
    data: body ?? null,
  }
}

/** What has no name of its own, or one that no event may have, is named by what it says and when. */
function nameOf(id: string | undefined, headers: IncomingHttpHeaders, body: unknown): string {
  if (id !== undefined && id.length <= ID_LENGTH_MAX && /^[\x20-\x7e]+$/.test(id)) return id
  const time = headers['x-slack-request-timestamp'] ?? ''
  return `sha256:${createHash('sha256')
    .update(`${id ?? ''}\n${String(time)}\n${JSON.stringify(body ?? null)}`)
    .digest('hex')}`
}

function decodeText(bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (cause) {
    throw new RipstopError('BAD_REQUEST', 'the body is not valid UTF-8', { cause })
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new RipstopError('BAD_REQUEST', 'the payload of the form is not valid JSON', { cause })
  }
}
