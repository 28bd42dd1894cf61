// One secret in several environments: whoever sees development's can act in production.
//   SU9. Templates and tests, values that have to be put in, and environments that are not told apart by their file's name are silent.

import type { Located } from '../../repository/configuration.ts'
import { nameOf } from '../../repository/paths.ts'
import type { Repository } from '../../repository/repository.ts'
import { servicesOf } from '../configuration/projects.ts'
import type { Discovery, Rule } from '../rule.ts'
import { isCredential, isPlaceholder, isSecretName } from './credentials.ts'

const ENVIRONMENT = /(^|[._-])(prod(uction)?|stag(ing|e)|dev(elopment)?|qa|uat|preprod|preview)([._-]|$)/i
const TEMPLATE = /example|sample|template|dist|tests?|default/i

export const sharedSecret: Rule = {
  meta: {
    id: 'shared-secret',
    category: 'security',
    severity: 'high',
    title: 'Environments share a secret',
    why: 'The environment that is guarded least guards all of them: a token of development is good in production.',
    remedies: [
      {
        priority: 'P1',
        text: 'Make a secret of its own for each environment, outside of the repository.',
        effort: 'S',
      },
    ],
    sources: ['https://12factor.net/config', 'https://cwe.mitre.org/data/definitions/798.html'],
  },
  *run(repository: Repository): Iterable<Discovery> {
    const places = new Map<
      string,
      { readonly environment: string; readonly name: string; readonly loc: Located<string>['loc'] }[]
    >()
    const add = (file: string, name: string, { value, loc }: Located<string>): void => {
      const environment = environmentOf(file)
      if (environment === undefined || !isSecretName(name) || !isCredential(value) || isPlaceholder(value)) return
      const key = JSON.stringify([name, value])
      const list = places.get(key)
      if (list === undefined) places.set(key, [{ environment, name, loc }])
      else list.push({ environment, name, loc })
    }
    for (const [file, values] of repository.configuration.envFiles)
      for (const [name, value] of values) add(file, name, value)
    for (const { service } of servicesOf(repository))
      for (const [name, { value, raw, loc }] of service.environment)
        if (!raw.includes('$')) add(loc.file, name, { value, loc })
    for (const list of places.values()) {
      const [first] = list
      if (first === undefined || new Set(list.map(({ environment }) => environment)).size < 2) continue
      yield {
        tier: 'strong',
        cause: 'secrets that environments share',
        symbol: first.name,
        symptom: 'Whoever has the secret of one environment has that of the others.',
        rootCause: `${first.name} has the same value in ${[...new Set(list.map(({ environment }) => environment))].join(' and ')}.`,
        evidence: list.map(({ environment, name, loc }) => ({
          provenance: 'config',
          loc,
          what: `${name} of ${environment}.`,
        })),
      }
    }
  },
}

const SHORT: readonly (readonly [RegExp, string])[] = [
  [/^prod/i, 'production'],
  [/^stag/i, 'staging'],
  [/^dev/i, 'development'],
]

function environmentOf(file: string): string | undefined {
  const name = nameOf(file)
  const word = TEMPLATE.test(name) ? undefined : ENVIRONMENT.exec(name)?.[2]
  return word === undefined ? undefined : (SHORT.find(([begins]) => begins.test(word))?.[1] ?? word.toLowerCase())
}
