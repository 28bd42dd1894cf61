// Guards against defaults that look for another default than the one that is deployed: the code refuses `change-me`, the deployment falls back to `changeme`.
//   GD4. A guard is found only where it refuses one text of a setting, and a deployment that runs it gives the setting another text that is a placeholder as well.

import type { Value } from '../../facts/facts.ts'
import type { Evidence } from '../../model/evidence.ts'
import { type IndexedFile, programOf } from '../../program/index.ts'
import type { Written } from '../../repository/configuration.ts'
import { isRun } from '../../repository/deployments.ts'
import type { Repository } from '../../repository/repository.ts'
import { contentsOf } from '../contents.ts'
import { constantOf, seenAt, symbolOf } from '../queries.ts'
import type { Discovery, Rule } from '../rule.ts'

const PLACEHOLDER =
  /change|secret|example|placeholder|your|default|insecure|dev|test|password|replace|todo|dummy|sample/i
const SECRET = /secret|key|token|password|passwd|salt|credential/i

export const guardBypassed: Rule = {
  meta: {
    id: 'guard-bypassed',
    category: 'guards',
    severity: 'high',
    title: 'A guard that looks for another default than the one that is used',
    why: 'The start-up check exists so that nobody runs with a known secret. The deployment’s own default passes it, and everybody who reads the repository knows it.',
    remedies: [
      {
        priority: 'P0',
        text: 'Refuse what is missing, too short or has too little chance in it, and give no default in the deployment.',
        effort: 'XS',
      },
    ],
    sources: [
      'CWE-1188: initialization of a resource with an insecure default',
      'CWE-798: use of hard-coded credentials',
    ],
  },
  *run(repository: Repository): Iterable<Discovery> {
    const program = programOf(repository.facts)
    const given = valuesGiven(repository)
    if (given.size === 0) return
    for (const path of program.files) {
      const file = program.file(path)
      if (file === undefined) continue
      for (const [block, { kind, test, line }] of file.facts.blocks.entries()) {
        if (kind !== 'branch' || test === undefined) continue
        for (const { subject, refused } of comparisons(test)) {
          if (!refuses(file, block)) continue
          const name = environmentNameOf(repository, path, subject)
          for (const { value, loc, by } of name === undefined ? [] : (given.get(name) ?? [])) {
            if (refused.includes(value) || !PLACEHOLDER.test(value)) continue
            const evidence: Evidence[] = [
              { provenance: 'config', loc, what: `${by} gives ${name} a known text that the guard does not refuse` },
              seenAt(path, { line, endLine: line }, `refuses another text of ${name}`),
            ]
            yield {
              tier: 'strong',
              evidence,
              cause: `${name} of ${path} in ${loc.file}`,
              symbol: symbolOf(file.facts, block) || String(name),
              symptom: `The deployment starts with a ${name} that everybody can read, and the check that should stop it is silent.`,
              rootCause: `The guard compares ${name} with one text, and ${by} falls back to another.`,
            }
          }
        }
      }
    }
  },
}

interface Given {
  readonly value: string
  readonly loc: Written['loc']
  readonly by: string
}

/** Defaults of secrets in deployments, by the name of the variable: not what an operator sets, but what is there if nobody does. */
function valuesGiven({ configuration, files }: Repository): ReadonlyMap<string, readonly Given[]> {
  const found = new Map<string, Given[]>()
  for (const project of configuration.compose) {
    if (!isRun(project, files)) continue
    for (const service of project.services.values())
      for (const [name, { value, raw, loc }] of service.environment) {
        const isFallback = raw.includes(':-') || !raw.includes('${')
        if (SECRET.test(name) && isFallback && value !== '')
          found.set(name, [...(found.get(name) ?? []), { value, loc, by: `service ${service.name}` }])
      }
  }
  return found
}

function refuses({ facts }: IndexedFile, block: number): boolean {
  const { exits, calls } = contentsOf(facts, block)
  return (
    exits.some(({ kind }) => kind === 'throw') ||
    calls.some(({ callee }) => /^(?:process\.exit|sys\.exit|exit|os\._exit)$/.test(callee.text))
  )
}

interface Comparison {
  readonly subject: Value
  readonly refused: readonly string[]
}

/** `x == 'a'`, `x in ['a', 'b']`, `['a'].includes(x)` is not seen. */
function* comparisons(test: Value): Iterable<Comparison> {
  if (test.kind !== 'operation') return
  const { operator, left, right } = test
  if (/^(?:===?|in)$/.test(operator) && left.kind === 'path') {
    const refused =
      right.kind === 'string'
        ? [right.value]
        : right.kind === 'list'
          ? right.items.flatMap((item) => (item.kind === 'string' ? [item.value] : []))
          : []
    if (refused.some((text) => text !== '')) yield { subject: left, refused }
    return
  }
  if (/^(?:and|or|&&|\|\|)$/.test(operator)) {
    yield* comparisons(left)
    yield* comparisons(right)
  }
}

/** The variable that a compared name is read from: a field of settings, a constant, or the environment itself. */
function environmentNameOf(repository: Repository, path: string, subject: Value): string | undefined {
  if (subject.kind !== 'path') return undefined
  const program = programOf(repository.facts)
  const direct = /^(?:process\.env|import\.meta\.env)\.(\w+)$/.exec(subject.path.text)?.[1]
  if (direct !== undefined) return direct
  const facts = repository.facts.get(path)
  const name = subject.path.text.slice(subject.path.text.lastIndexOf('.') + 1)
  const declared = facts?.assignments.find(({ target, isDeclaration }) => isDeclaration && target.text === name)
  const read =
    declared === undefined
      ? undefined
      : facts?.envReads.find(({ line, endLine }) => line <= declared.endLine && endLine >= declared.line)
  if (read !== undefined) return read.name
  const value = constantOf(program, path, subject)
  if (value.kind === 'path' && value !== subject) return environmentNameOf(repository, path, value)
  return /^[A-Z][A-Z0-9_]+$/.test(name) ? name : undefined
}
