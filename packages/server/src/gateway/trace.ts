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
  const trace = `${word(random)}${word(random)}${word(random)}${word(random)}`
  return `00-${trace}-${word(random)}${word(random)}-01`
}

export function traceIdOf(traceparent: string): string {
  return traceparent.slice(3, 35)
}

/** 32 bits, none of them zero altogether: all-zero ids are invalid. */
function word(random: Random): string {
  return Math.floor(1 + random() * 0xffff_ffff)
    .toString(16)
    .padStart(8, '0')
}
