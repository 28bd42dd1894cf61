// Trace context (W3C Recommendation, 23 November 2021). A valid traceparent is passed on as it is: the gateway adds no
// span of its own yet. Without one a trace begins here, sampled: with flag 00 every parent-based sampler behind us would
// drop it.

import type { Random } from '@ripstop/kernel'

const VALID = /^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?$/

/** Version 00 has exactly four fields; later ones may have more. */
export function isTraceparent(text: string): boolean {
  return VALID.test(text) && (text.length === 55 || !text.startsWith('00'))
}

export function createTraceparent(random: Random): string {
  return `00-${word(random)}${word(random)}${word(random)}${word(random)}-${word(random)}${word(random)}-01`
}

export function traceIdOf(traceparent: string): string {
  return traceparent.slice(3, 35)
}

const BYTES: readonly string[] = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'))

/** 32 bits in hex, never all zero: all-zero ids are invalid. By table: 6 of toString(16) cost 1.5 % of a request. */
function word(random: Random): string {
  const bits = 1 + random() * 0xffff_ffff
  return `${BYTES[(bits >>> 24) & 255]}${BYTES[(bits >>> 16) & 255]}${BYTES[(bits >>> 8) & 255]}${BYTES[bits & 255]}`
}
