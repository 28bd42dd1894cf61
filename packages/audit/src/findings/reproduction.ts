// How to see a finding happen: the demonstration of its rule, with what is known of its place put in.
//   QS13. What stands in commands is a plain name or the word in capitals, whatever the repository calls its parts: people copy commands.
//   QS14. Nothing is put in that was not found: no route that leads there, then the place itself.

import type { Finding, Reproduction } from '../model/finding.ts'
import type { Repository } from '../repository/repository.ts'
import { DEMONSTRATIONS, shownBy } from '../rules/demonstrations/index.ts'
import { waysInto } from './way-in.ts'

const PLAIN = /^[A-Za-z0-9][\w.-]*$/

/** `dependency`: the component that the finding's link leads to. */
export function reproductions(
  repository: Pick<Repository, 'facts'>,
): (finding: Finding, dependency: string | undefined) => Reproduction | undefined {
  const waysTo = waysInto(repository)
  return ({ rule, component, evidence }, dependency) => {
    const demonstration = shownBy(rule)
    if (demonstration === undefined || demonstration === 'reading') return undefined
    const loc = evidence[0]?.loc
    const through = loc === undefined ? undefined : waysTo(loc)
    const request = through ?? (loc === undefined ? undefined : `what leads to ${loc.file}:${loc.line}`)
    const known = { SERVICE: component, DEPENDENCY: dependency, REQUEST: request }
    const { steps, expected, mended } = DEMONSTRATIONS[demonstration]
    return {
      demonstration,
      through,
      steps: steps.map((step) => fill(step, known)),
      expected: fill(expected, known),
      mended: fill(mended, known),
    }
  }
}

/** What is said in words where nothing is known. */
const UNKNOWN = { SERVICE: 'the service', DEPENDENCY: 'what it calls', REQUEST: 'what leads there' } as const

type Known = Readonly<Record<'SERVICE' | 'DEPENDENCY' | 'REQUEST', string | undefined>>

/** QS13. */
function fill(text: string, known: Known): string {
  const isCommand = text.startsWith('$ ')
  return text.replace(/\b(?:SERVICE|DEPENDENCY|REQUEST)\b/g, (word) => {
    const name = known[word as keyof Known]
    if (isCommand) return name !== undefined && PLAIN.test(name) ? name : word
    return name ?? UNKNOWN[word as keyof Known]
  })
}
