// How each category of rules came out. A category that had no rule, or nothing to look at, is said to be not measurable here; it is never counted as good.
//   RR5. `nothing found` needs a rule that was applied, did not break, and had something to look at.

import type { Repository } from '../repository/repository.ts'
import { CATEGORIES, type Category } from '../rules/rule.ts'
import type { Scan } from '../scan.ts'
import { entriesOf } from '../system/entries.ts'
import { outboundOf } from '../system/outbound.ts'
import { type Figure, figure } from './figure.ts'
import type { ReportedFinding } from './reported.ts'

export interface CategoryState {
  readonly category: Category
  readonly state: 'torn' | 'to review' | 'nothing found' | 'not measurable here'
  readonly because: string
  readonly rules: Figure
  readonly lookedAt: Figure
  readonly strong: Figure
  readonly review: Figure
}

export function categoriesOf(
  { repository, rules, brokenRules }: Scan,
  findings: readonly ReportedFinding[],
): readonly CategoryState[] {
  const subjects = subjectsOf(repository)
  const open = findings.filter(({ suppressed }) => suppressed === undefined)
  return CATEGORIES.map((category) => {
    const own = open.filter((finding) => finding.category === category)
    const applied = rules.filter(({ meta }) => meta.category === category)
    const broken = applied.filter(({ meta }) => brokenRules.some(({ rule }) => rule === meta.id)).length
    const strong = own.filter(({ tier }) => tier !== 'review').length
    const [count, unit] = subjects[category]
    const [state, because] = stateOf(strong, own.length - strong, applied.length - broken, count, unit)
    const counted = (value: number, of: string): Figure => figure(value, of, 'static', 'counted by the audit')
    return {
      category,
      state,
      because,
      rules: counted(applied.length, 'rules'),
      lookedAt: counted(count, unit),
      strong: counted(strong, 'findings'),
      review: counted(own.length - strong, 'findings'),
    }
  })
}

/** RR5. */
function stateOf(
  strong: number,
  review: number,
  rules: number,
  count: number,
  unit: string,
): readonly [CategoryState['state'], string] {
  if (strong > 0) return ['torn', 'it has strong findings']
  if (review > 0) return ['to review', 'what was found is for somebody to decide']
  if (rules === 0) return ['not measurable here', 'no rule of this kind was applied']
  if (count === 0) return ['not measurable here', `there was nothing to look at: no ${unit}`]
  return ['nothing found', 'rules looked and found nothing; that is no proof']
}

/** What rules of a category look at. */
function subjectsOf(repository: Repository): Readonly<Record<Category, readonly [count: number, unit: string]>> {
  const { facts, configuration, files } = repository
  const { compose, kubernetes, dockerfiles } = configuration
  const sources = [facts.size, 'source files'] as const
  const services = compose.reduce((sum, project) => sum + project.services.size, 0)
  const deployed = [services + kubernetes.length + dockerfiles.length, 'services, objects and Dockerfiles'] as const
  const calls = [outboundOf(repository).calls.length, 'calls that leave the process'] as const
  const entries = entriesOf(repository).length
  // A graph without a single file is that of a running mesh.
  if (files.list().length === 0 && repository.graph.links.length > 0) {
    const links = [repository.graph.links.length, 'links of the running mesh'] as const
    return Object.fromEntries(CATEGORIES.map((category) => [category, links])) as ReturnType<typeof subjectsOf>
  }
  return {
    'deadlines and retries': calls,
    'error handling': sources,
    'permanent failure': sources,
    guards: sources,
    concurrency: sources,
    'messages and effects': [calls[0] + entries, 'calls out and entries'],
    bounds: sources,
    lifecycle: [entries, 'entries: routes, consumers, timers, signals'],
    state: sources,
    security: [facts.size + services, 'source files and services'],
    configuration: deployed,
    deployment: deployed,
    observability: sources,
    documents: [files.list('document').length, 'documents'],
  }
}
