// Credentials that everybody who can read the repository knows: literals, and words that stand in where a variable is unset.
//   RX9. A variable without a word, a guard (`:?`), a file of secrets, and names that only sound secret (lengths, lifetimes, algorithms) are silent.
//   RX10. The value itself is never in a discovery.

import { parts, variableUses } from '../../readers/interpolation.ts'
import type { Written } from '../../repository/configuration.ts'
import { at, type Discovery, type Rule } from './deployment.ts'
import { oncePerPlace, seen, servicesOf, tierIn } from './projects.ts'

const meta = at({
  id: 'compose-default-secret',
  category: 'security',
  severity: 'high',
  title: 'A credential has a value that is in the repository',
  why: 'The environment in which nobody set it runs with a secret that is public, and nothing says so.',
  remedy: {
    priority: 'P0',
    text: 'Ask for it with a guard (:? after its name), or mount a secret; then change the one that is known.',
    effort: 'S',
  },
  sources: ['https://docs.docker.com/compose/how-tos/use-secrets/', 'https://cwe.mitre.org/data/definitions/1392.html'],
})

const SECRET =
  /(PASSWORD|PASSWD|SECRET|TOKEN|API_?KEY|PRIVATE_?KEY|ENCRYPTION_?KEY|SIGNING_?KEY|ACCESS_?KEY|CREDENTIALS?|(^|_)(PASS|PWD|SALT))$|(SECRET|PASSWORD)_?(KEY|BASE)|SECRET_KEY_BASE/i
const NOT_SECRET =
  /(^|_)(MIN|MAX|LENGTH|ROUNDS|EXPIR\w*|TTL|ALGORITHM|ENABLED?|FILE|PATH|URL|URI|HOST|PORT|NAME|ID|HEADER|ISSUER|POLICY|REQUIRE\w*|ALLOW_EMPTY\w*|USE|TYPE|DAYS|HOURS|MINUTES|SECONDS|LIMIT|COUNT)(_|$)/i
const ACCOUNT = /^[a-z][a-z0-9+.-]*:\/\/[^\s/:@]*:([^\s@]+)@/i

export const composeDefaultSecret: Rule = {
  meta,
  *run(repository) {
    const found = servicesOf(repository).flatMap(({ project, service }) => {
      const all = [...service.environment].flatMap(([name, value]) => judge(name, value))
      const command = service.command
      if (command !== undefined && /--requirepass\s+["']?[^\s"'$]/.test(command.raw))
        all.push({ name: 'requirepass', what: 'The password is a literal of the command.', loc: command.loc })
      return all.map(
        ({ name, what, loc }): Discovery => ({
          tier: tierIn(project, loc),
          symbol: `${service.name} ${name}`,
          component: service.name,
          cause: `credentials of ${loc.file}`,
          symptom: `${service.name} runs with a credential that the repository shows.`,
          rootCause: 'A credential has a literal or a default.',
          evidence: [seen(loc, what)],
        }),
      )
    })
    yield* oncePerPlace(found)
  },
}

function judge(name: string, { raw, loc }: Written): { name: string; what: string; loc: Written['loc'] }[] {
  const text = raw.replace(/^["']|["']$/g, '')
  const isNamed = SECRET.test(name) && !NOT_SECRET.test(name)
  const uses = variableUses(text)
  if (uses.length === 0) {
    if (isNamed && isValue(text)) return [{ name, what: `${name} is a literal.`, loc }]
    return hasAccount(text) ? [{ name, what: `${name} holds an account with its password.`, loc }] : []
  }
  for (const { name: variable, operator, word } of uses) {
    if (operator !== ':-' && operator !== '-') continue
    const isSecret = (isNamed && text.startsWith('${')) || (SECRET.test(variable) && !NOT_SECRET.test(variable))
    if (isSecret && isValue(word) && !word.startsWith('$'))
      return [{ name, what: `${name} has a default where ${variable} is unset.`, loc }]
    if (hasAccount(word)) return [{ name, what: `The default of ${name} holds an account with its password.`, loc }]
  }
  return hasAccount(text) ? [{ name, what: `${name} holds an account with its password.`, loc }] : []
}

function isValue(text: string): boolean {
  return (
    text.length > 1 &&
    !/^(true|false|yes|no|none|null|\d{1,3}|\d+[smhd])$/i.test(text) &&
    !/^[./]/.test(text) &&
    !/^https?:\/\/[^@]*$/.test(text)
  )
}

/** The password of a URL, with nothing of a variable in it. */
function hasAccount(text: string): boolean {
  const fixed = parts(text)
    .map((part) => (typeof part === 'string' ? part : '\u0000'))
    .join('')
  const password = ACCOUNT.exec(fixed)?.[1]
  return password !== undefined && !password.includes('\u0000')
}
