// A finding as reports hold it: with the category of its rule, the component that its place belongs to and the link of the call that stands there.

import type { Finding } from '../model/finding.ts'
import type { Category } from '../rules/rule.ts'

export interface ReportedFinding extends Finding {
  readonly category: Category
}
