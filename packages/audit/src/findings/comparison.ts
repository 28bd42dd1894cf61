// Two reports of one repository: what appeared, what is gone, what grew. A baseline is an earlier report: what it has is not new.
//   FG10. A finding is the same if its fingerprint is, wherever it moved. One that has more places than before has grown, and is not
//         covered by the earlier one; nor is one that was suppressed and no longer is, or that was for review and is strong.

import type { Finding } from '../model/finding.ts'

export type Comparable = Pick<
  Finding,
  'fingerprint' | 'rule' | 'title' | 'tier' | 'severity' | 'evidence' | 'suppressed'
>

export interface Comparison<Before extends Comparable, After extends Comparable> {
  readonly appeared: readonly After[]
  /** Worse than it was, in the words of `FG10`. */
  readonly grown: readonly After[]
  readonly same: readonly After[]
  readonly gone: readonly Before[]
}

/** FG10. */
export function compare<Before extends Comparable, After extends Comparable>(
  before: readonly Before[],
  after: readonly After[],
): Comparison<Before, After> {
  const known = new Map(before.map((finding) => [finding.fingerprint, finding]))
  const still = new Set(after.map(({ fingerprint }) => fingerprint))
  const isGrown = (finding: After): boolean => {
    const past = known.get(finding.fingerprint)
    return past !== undefined && isWorse(past, finding)
  }
  return {
    appeared: after.filter(({ fingerprint }) => !known.has(fingerprint)),
    grown: after.filter(isGrown),
    same: after.filter((finding) => known.has(finding.fingerprint) && !isGrown(finding)),
    gone: before.filter(({ fingerprint }) => !still.has(fingerprint)),
  }
}

function isWorse(past: Comparable, now: Comparable): boolean {
  if (now.suppressed !== undefined) return false
  if (past.suppressed !== undefined || now.evidence.length > past.evidence.length) return true
  return past.tier === 'review' && now.tier !== 'review'
}
