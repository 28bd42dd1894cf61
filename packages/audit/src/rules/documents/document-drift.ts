// Pages that say what is not so: a command, file, variable, route, version or default that the repository does not have. One finding for each page.

import type { Repository } from '../../repository/repository.ts'
import type { Discovery, Rule } from '../rule.ts'
import { driftOfCommands, knownOf } from './commands.ts'
import { driftOfFigures } from './figures.ts'
import { type Drift, pagesOf } from './pages.ts'
import { answeredBy, driftOfRoutes } from './routes.ts'
import { driftOfVersions } from './versions.ts'
import { driftOfWords } from './words.ts'

const PLACES_MAX = 20

export const documentDrift: Rule = {
  meta: {
    id: 'document-drift',
    category: 'documents',
    severity: 'low',
    title: 'A document says what is not so',
    why: 'People follow it when they set the system up, and at night when it is down: the command fails, the variable does nothing, the address does not answer. What else it says is no longer believed.',
    remedies: [
      {
        priority: 'P3',
        text: 'Mend the page, and let the build try the commands and addresses that it shows.',
        effort: 'XS',
      },
    ],
    sources: ['https://cwe.mitre.org/data/definitions/1059.html'],
  },
  *run(repository: Repository): Iterable<Discovery> {
    const pages = pagesOf(repository.files)
    if (pages.length === 0) return
    const known = knownOf(repository)
    const answered = answeredBy(repository)
    const words = driftOfWords(repository, pages)
    for (const page of pages) {
      const said = new Set<string>()
      const all = [
        ...driftOfCommands(repository, known, page),
        ...driftOfVersions(repository, page),
        ...driftOfFigures(repository, page),
        ...(answered === undefined ? [] : driftOfRoutes(answered, page)),
        ...words.filter(({ loc }) => loc.file === page.file),
      ].sort((a, b) => a.loc.line - b.loc.line)
      // What is missing is said once a page.
      const drifts = all.filter(({ what }) => !said.has(what) && said.add(what))
      if (drifts.length > 0) yield discovery(page.file, drifts)
    }
  },
}

function discovery(file: string, drifts: readonly Drift[]): Discovery {
  const [first] = drifts
  return {
    tier: 'strong',
    cause: `what ${file} says`,
    symbol: file,
    symptom: `Whoever follows ${file} fails at ${drifts.length === 1 ? 'one place' : `${drifts.length} places`}.`,
    rootCause: `${first?.what ?? ''}${drifts.length > 1 ? ' And more.' : ''}`,
    evidence: drifts.slice(0, PLACES_MAX).map(({ loc, what }) => ({ provenance: 'static', loc, what })),
  }
}
