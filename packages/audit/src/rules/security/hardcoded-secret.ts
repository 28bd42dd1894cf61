// Credentials that are written down: in source, and as literals of the environment or the command of a compose service.
//   SU1. What has to be put in, names of fields and texts, what browsers show, and tests, seeds and examples are silent; of source only what a library takes as a
//        credential, or an issuer's token, is strong. The credential itself is never in a discovery.

import type { Call, FileFacts } from '../../facts/facts.ts'
import type { Loc } from '../../model/evidence.ts'
import { parts, variableUses } from '../../readers/interpolation.ts'
import type { Written } from '../../repository/configuration.ts'
import type { Repository } from '../../repository/repository.ts'
import { oncePerPlace, seen, servicesOf, tierIn } from '../configuration/projects.ts'
import { lastName, symbolOf } from '../queries.ts'
import type { Discovery, Rule } from '../rule.ts'
import { accountOf, isCredential, isIssued, isPlaceholder, isSecretName, looksMadeUp } from './credentials.ts'
import { locOf, type Named, namedOf } from './literals.ts'
import { isAside } from './places.ts'

/** What runs there is made for a moment, with nothing of value in it. */
const PIPELINE = /(^|\/)(\.(ci|github|circleci|devcontainer|gitpod|gitlab|buildkite)|ci)\//

export const hardcodedSecret: Rule = {
  meta: {
    id: 'hardcoded-secret',
    category: 'security',
    severity: 'high',
    title: 'A credential is written in the repository',
    why: 'Everybody who can read the repository, now or in its history, has it; every environment shares it; and it cannot be changed without a release.',
    remedies: [
      {
        priority: 'P0',
        text: 'Take it from the environment or a mounted secret, refuse to start without it, and change the one that is known.',
        effort: 'S',
      },
    ],
    sources: ['https://cwe.mitre.org/data/definitions/798.html'],
  },
  *run(repository: Repository): Iterable<Discovery> {
    yield* inCompose(repository)
    for (const facts of repository.facts.values()) {
      if (isAside(facts.file)) continue
      yield* inSource(repository, facts)
    }
  },
}

function inCompose(repository: Repository): Iterable<Discovery> {
  const found = servicesOf(repository).flatMap(({ project, service }) =>
    [...service.environment]
      .flatMap(([name, value]) => judge(name, value))
      .concat([service.command, service.entrypoint].flatMap(judgeCommand))
      .filter(({ loc }) => !PIPELINE.test(loc.file))
      .map(
        ({ what, loc }): Discovery => ({
          tier: tierIn(project, loc),
          symbol: loc.file,
          component: service.name,
          cause: `credentials of ${loc.file}`,
          symptom: `${service.name} runs with a credential that the repository shows.`,
          rootCause: 'A credential is a literal of the compose file.',
          evidence: [seen(loc, what)],
        }),
      ),
  )
  return oncePerPlace(found)
}

interface Literal {
  readonly what: string
  readonly loc: Loc
}

function judge(name: string, { raw, loc }: Written): Literal[] {
  const text = raw.replace(/^["']|["']$/g, '')
  if (variableUses(text).length === 0 && isSecretName(name))
    return isCredential(text) ? [{ what: `${name} is a literal.`, loc }] : []
  return isFixed(accountOf(fixedOf(text))?.password) ||
    fieldsOf(text).some(([field, value]) => isSecretField(field, value))
    ? [{ what: `${name} holds an account with its password.`, loc }]
    : []
}

function judgeCommand(command: Written | undefined): Literal[] {
  if (command === undefined) return []
  const { raw, loc } = command
  if (/--requirepass[\s=]+["']?[^\s"'$]/.test(raw)) return [{ what: 'The password is a literal of the command.', loc }]
  // An address may be an option's: `--url=…`.
  const words = fixedOf(raw).split(/[\s"',]+/)
  return words.some((word) => isFixed(accountOf(word.replace(/^--?[\w.-]+=/, ''))?.password))
    ? [{ what: 'The command holds an account with its password.', loc }]
    : []
}

/** With a mark where variables stand. */
function fixedOf(text: string): string {
  return parts(text)
    .map((part) => (typeof part === 'string' ? part : '\u0000'))
    .join('')
}

function isFixed(password: string | undefined): boolean {
  return password !== undefined && !password.includes('\u0000')
}

/** Of settings that are written as one object. */
function fieldsOf(text: string): readonly (readonly [string, string])[] {
  if (!text.startsWith('{')) return []
  return [...text.matchAll(/"(\w+)"\s*:\s*"([^"]*)"/g)].map((match) => [match[1] ?? '', match[2] ?? ''] as const)
}

function isSecretField(field: string, value: string): boolean {
  return isSecretName(field) && isCredential(value) && !value.includes('$')
}

function* inSource(repository: Repository, facts: FileFacts): Iterable<Discovery> {
  const isPage = /\.[jt]sx$/.test(facts.file)
  const known = new Set<number>()
  const say = (
    place: Named['place'],
    name: string,
    text: string,
    what: string,
    tier: Discovery['tier'],
  ): Discovery | undefined => {
    const loc = locOf(repository, facts.file, place, name, text)
    // A default of a variable is default-secret's.
    const isDefault = facts.envReads.some(
      ({ line, fallback }) => line === loc.line && fallback?.kind === 'string' && fallback.value === text,
    )
    if (known.has(loc.line) || isDefault) return undefined
    known.add(loc.line)
    return {
      tier,
      cause: `credentials of ${facts.file}`,
      symbol: symbolOf(facts, place.block),
      symptom: 'Whoever can read the repository can act with this credential.',
      rootCause: 'A credential is a literal of the source.',
      evidence: [{ provenance: 'static', loc, what }],
    }
  }
  for (const call of facts.calls) {
    const text = keyOf(call)
    if (text === undefined || isPlaceholder(text)) continue
    const found = say(call, '', text, `The key of ${lastName(call.callee)} is a literal.`, 'strong')
    if (found !== undefined) yield found
  }
  for (const named of namedOf(facts)) {
    const text = named.value.kind === 'string' ? named.value.value : ''
    const tier = tierOf(named, text, isPage)
    const what = isIssued(text) ? 'A token of a known issuer.' : `${named.name} is a literal.`
    const found = tier === undefined ? undefined : say(named.place, named.name, text, what, tier)
    if (found !== undefined) yield found
  }
}

const SIGNS = /^(jwt|jsonwebtoken|jose)\.(sign|verify|encode|decode)$|(^|\.)createHmac$/

/** The key that something is signed with. */
function keyOf({ callee, args }: Call): string | undefined {
  const [, key] = args
  return key?.kind === 'string' && SIGNS.test(callee.text) && key.value.length > 1 ? key.value : undefined
}

const CONNECTS = new Set(['host', 'hostname', 'server', 'user', 'username', 'database', 'dbname', 'db'])

function tierOf({ name, beside, call }: Named, text: string, isPage: boolean): Discovery['tier'] | undefined {
  if (isIssued(text)) return 'strong'
  if (text === '' || isPage || !isSecretName(name) || normal(text) === normal(name)) return undefined
  const isTaken =
    call !== undefined &&
    (beside.filter(([each]) => CONNECTS.has(each)).length > 1 || /session$/i.test(call.callee.text))
  if (isTaken && isCredential(text) && !isPlaceholder(text)) return 'strong'
  return looksMadeUp(text) ? 'review' : undefined
}

function normal(text: string): string {
  return text.toLowerCase().replace(/[^a-z0-9]/g, '')
}
