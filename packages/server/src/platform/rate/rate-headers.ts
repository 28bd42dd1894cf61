// What an answer tells of a limit: RateLimit-Policy and RateLimit (draft-ietf-httpapi-ratelimit-headers).

import type { Quota, RateVerdict } from './rate-table.ts'

type Left = Pick<RateVerdict, 'remaining' | 'resetMs'>

export function describeRate(name: string, { count, windowMs }: Quota, { remaining, resetMs }: Left) {
  return {
    policy: `"${name}";q=${count};w=${Math.ceil(windowMs / 1_000)}`,
    left: `"${name}";r=${remaining};t=${Math.ceil(resetMs / 1_000)}`,
  }
}
