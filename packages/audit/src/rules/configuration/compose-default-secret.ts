// Credentials that everybody who can read the repository knows: words that stand in where a variable is unset. Literals are hardcoded-secret's.
//   RX9. A variable without a word, a guard (`:?`), a file of secrets, and names that only sound secret (lengths, lifetimes, algorithms) are silent.
//   RX10. The value itself is never in a discovery.

import { variableUses } from '../../readers/interpolation.ts'
import type { Written } from '../../repository/configuration.ts'
import { accountOf, isCredential, isSecretName } from '../security/credentials.ts'
import { at, type Discovery, type Rule } from './deployment.ts'
import { oncePerPlace, seen, servicesOf, tierIn } from './projects.ts'

const meta = at({
  id: 'compose-default-secret',
  category: 'security',
  severity: 'high',
  title: 'A credential has a default that is in the repository',
  why: 'The environment in which nobody set it runs with a secret that is public, and nothing says so.',
  remedy: {
    priority: 'P0',
    text: 'Ask for it with a guard (:? after its name), or mount a secret; then change the one that is known.',
    effort: 'S',
  },
  sources: ['https://docs.docker.com/compose/how-tos/use-secrets/', 'https://cwe.mitre.org/data/definitions/1392.html'],
})

export const composeDefaultSecret: Rule = {
  meta,
  *run(repository) {
    const found = servicesOf(repository).flatMap(({ project, service }) => {
      const commands = [service.command, service.entrypoint].filter((each) => each !== undefined)
      const all = [...service.environment, ...commands.map((each) => ['The command', each] as const)].flatMap(
        ([name, value]) => judge(name, value),
      )
      return all.map(
        ({ name, what, loc }): Discovery => ({
          tier: tierIn(project, loc),
          symbol: name,
          component: service.name,
          cause: `credentials of ${loc.file}`,
          symptom: `${service.name} runs with a credential that the repository shows.`,
          rootCause: 'A credential has a default.',
          evidence: [seen(loc, what)],
        }),
      )
    })
    yield* oncePerPlace(found)
  },
}

function judge(name: string, { raw, loc }: Written): { name: string; what: string; loc: Written['loc'] }[] {
  const text = raw.replace(/^["']|["']$/g, '')
  for (const { name: variable, operator, word } of variableUses(text)) {
    if (operator !== ':-' && operator !== '-') continue
    const isSecret = (isSecretName(name) && text.startsWith('${')) || isSecretName(variable)
    if (isSecret && isCredential(word) && !word.startsWith('$'))
      return [{ name, what: `${name} has a default where ${variable} is unset.`, loc }]
    if (accountOf(word) !== undefined)
      return [{ name, what: `The default of ${name} holds an account with its password.`, loc }]
  }
  return []
}
