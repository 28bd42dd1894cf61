// Verifying. Is this request from who has the secret? Every secret is tried against every signature, whatever was found before, and
// nothing tells a wrong signature from a missing one.
// Invariants:
//   IB1. Only a request that one of the source's secrets signed, over the very bytes that came, is believed.
//   IB2. What was signed more than five minutes ago, or ahead, is refused, and only whoever signed it is told so.

import { createHmac, timingSafeEqual, verify } from 'node:crypto'
import { RipstopError } from '@ripstop/kernel'
import type { Claim, SecretKey } from './scheme.ts'

export const TOLERANCE_SECONDS = 300

/** Throws SIGNATURE_INVALID or TIMESTAMP_REFUSED. */
export function verifySignature(
  secrets: readonly SecretKey[],
  claim: Claim | undefined,
  bytes: Buffer,
  wallMs: number,
): void {
  if (claim === undefined || !isSigned(secrets, claim, bytes)) {
    throw new RipstopError('SIGNATURE_INVALID', 'no secret of this source signed these bytes')
  }
  const { signedAt } = claim
  if (signedAt !== undefined && Math.abs(wallMs / 1_000 - signedAt) > TOLERANCE_SECONDS) {
    throw new RipstopError('TIMESTAMP_REFUSED', `it was signed more than ${TOLERANCE_SECONDS} s from now`)
  }
}

function isSigned(secrets: readonly SecretKey[], claim: Claim, bytes: Buffer): boolean {
  let matches = 0
  for (const { kind, key } of secrets) {
    if (kind === 'hmac') {
      const expected = createHmac('sha256', key).update(claim.prefix).update(bytes).digest()
      for (const given of claim.hmacs) matches |= Number(isSame(expected, given))
    } else if (claim.ed25519s.length > 0) {
      const signed = Buffer.concat([Buffer.from(claim.prefix), bytes])
      for (const given of claim.ed25519s) matches |= Number(verify(null, signed, key, given))
    }
  }
  return matches > 0
}

function isSame(expected: Buffer, given: Buffer): boolean {
  return given.length === expected.length && timingSafeEqual(expected, given)
}
