// Trace. W3C trace context: a valid `traceparent` is continued, anything else begins a new trace.
// Source: https://www.w3.org/TR/trace-context/ (level 1, section 3.2).

import { randomBytes } from 'node:crypto'

export interface Trace {
  readonly traceId: string
  /** Ours, as the parent of what we call and in the answer. */
  readonly traceparent: string
}

// Version ff is forbidden; a higher version than 00 may carry more fields after the flags.
const TRACEPARENT = /^(?!ff)([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?$/
const ZEROS = /^0+$/

/** Continues the trace of a request, or begins one. Ids are random, 128 and 64 bits. */
export function traceOf(traceparent: string | undefined): Trace {
  const [, version = '', traceId = '', parentId = '', flags = ''] = TRACEPARENT.exec(traceparent ?? '') ?? []
  const sound = version !== '' && !ZEROS.test(traceId) && !ZEROS.test(parentId)
  const longer = version === '00' && traceparent?.length !== 55
  const spanId = randomBytes(8).toString('hex')
  if (!sound || longer) {
    const begun = randomBytes(16).toString('hex')
    return { traceId: begun, traceparent: `00-${begun}-${spanId}-01` }
  }
  const sampled = (Number.parseInt(flags, 16) & 1) === 1 ? '01' : '00'
  return { traceId, traceparent: `00-${traceId}-${spanId}-${sampled}` }
}
