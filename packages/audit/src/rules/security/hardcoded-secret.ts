// Credentials that are written down: in source, and as literals of the environment or the command of a compose service.
//   SU1. What has to be put in, names of fields and texts, what browsers show, and tests, seeds and examples are silent; of source only what a library takes as a
//        credential, or an issuer's token, is strong. The credential itself is never in a discovery.
//   QL6. A token with its signature counts as an issuer's, unless its claims say that it is for everybody.
//   QL20. The key of a web app of Firebase stands in every page of it; what it may do is decided elsewhere.
//   QL8. What a token is signed or verified with may be a constant, also of another file; then it is no form to fill in, whatever it says.
//   QT11. So may what cookies, sessions and tokens are signed with by a plugin or a module of a framework.
//   QM9. A word in the place of a key for somebody else's API is no credential.

import type { Call, FileFacts, Value } from '../../facts/facts.ts'
import type { Loc } from '../../model/evidence.ts'
import { programOf } from '../../program/index.ts'
import { parts, variableUses } from '../../readers/interpolation.ts'
import type { Written } from '../../repository/configuration.ts'
import type { Repository } from '../../repository/repository.ts'
import { oncePerPlace, seen, servicesOf, tierIn } from '../configuration/projects.ts'
import { lastName, optionOf, symbolOf } from '../queries.ts'
import type { Discovery, Rule } from '../rule.ts'
import { committedEnvironment } from './committed-environment.ts'
import { accountOf, isCredential, isIssued, isNoKey, isPlaceholder, isSecretName, looksMadeUp } from './credentials.ts'
import { writtenInKubernetes } from './kubernetes-values.ts'
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
    yield* inKubernetes(repository)
    yield* committedEnvironment(repository)
    const keys = signingKeys(repository)
    for (const facts of repository.facts.values()) {
      if (isAside(facts.file)) continue
      yield* inSource(repository, facts, keys.get(facts.file) ?? [])
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

function* inKubernetes(repository: Repository): Iterable<Discovery> {
  for (const { object, name, value, loc } of writtenInKubernetes(repository)) {
    const [found] = judge(name, { value, raw: value, loc })
    if (found === undefined || isPlaceholder(value) || TO_CHANGE.test(value)) continue
    yield {
      tier: IN_DEVELOPMENT.test(loc.file) ? 'review' : 'strong',
      cause: `credentials of ${loc.file}`,
      symbol: `${object.kind} ${object.name} ${name}`,
      component: object.name,
      symptom: `${object.name} runs with a credential that the repository shows.`,
      rootCause: 'A credential is a literal of the manifest.',
      evidence: [seen(loc, found.what)],
    }
  }
}

/** Whoever applies the manifest puts the real one in its place. */
const TO_CHANGE = /change[-_ ]?(me|this|it)|replace[-_ ]?(me|this|with)|to[-_ ]be[-_ ]/i
const IN_DEVELOPMENT = /(^|[/.\-_])(dev|development|local|minikube|kind|k3d|sandbox)([/.\-_]|$)/i

interface Literal {
  readonly what: string
  readonly loc: Loc
}

function judge(name: string, { raw, loc }: Written): Literal[] {
  const text = raw.replace(/^["']|["']$/g, '')
  if (variableUses(text).length === 0 && isSecretName(name))
    return isCredential(text) && !isNoKey(name, text) ? [{ what: `${name} is a literal.`, loc }] : []
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

function* inSource(
  repository: Repository,
  facts: FileFacts,
  keys: readonly Pick<Named, 'name' | 'value' | 'place'>[],
): Iterable<Discovery> {
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
    const key = keyOf(call)
    const text = key?.kind === 'string' ? key.value : ''
    const signed = keyOfSigner(call)
    const own = signed === undefined ? undefined : say(call, '', signed, 'What it signs with is a literal.', 'strong')
    if (own !== undefined) yield own
    if (text === '' || (isToken(call) ? TO_FILL_IN.test(text) : isPlaceholder(text))) continue
    const found = say(call, '', text, `The key of ${lastName(call.callee)} is a literal.`, 'strong')
    if (found !== undefined) yield found
  }
  for (const { name, value, place } of keys) {
    const text = value.kind === 'string' ? value.value : ''
    const found = say(place, name, text, `Tokens are signed with ${name}, which is a literal.`, 'strong')
    if (found !== undefined) yield found
  }
  for (const { value, line, endLine, block } of facts.exits) {
    const text = value?.kind === 'string' ? value.value : ''
    const found = isIssued(text)
      ? say({ line, endLine, block }, '', text, 'A token of a known issuer.', 'strong')
      : undefined
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

const SIGNS = /(^|\.)createHmac$/
const TOKENS = /^(?:jwt|jsonwebtoken|jose)\.(?:sign|verify|encode|decode)$/
const OF_TOKENS = /(?:^|\.)(?:sign|verify|encode|decode)$/
const TO_FILL_IN = /^[<{[]|\.{3}/

/** `jwt.sign(…)`, and `sign(…)` of what was imported by that name. */
function isToken({ callee }: Call): boolean {
  return TOKENS.test(callee.text) || /^import:(?:jsonwebtoken|jose)#(?:sign|verify)$/.test(callee.root)
}

/** The key that something is signed with. */
function keyOf(call: Call): Value | undefined {
  const key = SIGNS.test(call.callee.text) || isToken(call) ? (call.args[1] ?? optionOf(call, 'key')) : undefined
  return key?.kind === 'string' && key.value.length <= 1 ? undefined : key
}

const SIGNERS =
  /^import:(?:@nestjs\/jwt|@fastify\/(?:jwt|cookie|session|secure-session)|cookie-session|express-session|express-jwt|koa-jwt|koa-session|hono\/jwt)(?:#|$)/

/** QT11. `register(jwt, { secret: 'x' })`, `JwtModule.register({ secret: 'x' })`, `super({ secretOrKey: 'x' })` of a strategy, `cookieParser('x')`. */
function keyOfSigner(call: Call): string | undefined {
  const { callee, args } = call
  const [plugin] = args
  const isGiven = plugin?.kind === 'path' && /^(?:register|use)$/.test(lastName(callee))
  const root = isGiven ? plugin.path.root : callee.root
  let key: Value | undefined
  if (SIGNERS.test(root)) key = optionOf(call, 'secret') ?? optionOf(call, 'privateKey')
  else if (callee.text === 'super') key = optionOf(call, 'secretOrKey')
  else if (/^import:cookie-parser(?:#|$)/.test(root)) key = plugin
  return key?.kind === 'string' && key.value.length > 1 && !TO_FILL_IN.test(key.value) ? key.value : undefined
}

/** QL8. Constants that tokens are signed with, by the file that they stand in. */
function signingKeys(repository: Repository): ReadonlyMap<string, readonly Pick<Named, 'name' | 'value' | 'place'>[]> {
  const program = programOf(repository.facts)
  const found = new Map<string, Pick<Named, 'name' | 'value' | 'place'>[]>()
  for (const { file, call } of program.callsLike(OF_TOKENS)) {
    const key = !isToken(call) || isAside(file) ? undefined : keyOf(call)
    const at = key?.kind === 'path' && !key.path.isOwn ? program.definition(file, key.path) : undefined
    const writes = at === undefined ? [] : (program.file(at.file)?.writes(-1, at.name) ?? [])
    const [only] = writes
    const text = only?.value.kind === 'string' ? only.value.value : ''
    if (at === undefined || only === undefined || writes.length !== 1 || text.length < 2 || TO_FILL_IN.test(text))
      continue
    const known = found.get(at.file) ?? []
    found.set(at.file, known)
    known.push({ name: at.name, value: only.value, place: only })
  }
  return found
}

const CONNECTS = new Set(['host', 'hostname', 'server', 'user', 'username', 'database', 'dbname', 'db'])

/** QL20. */
const OF_WEB_APP = /^(?:authDomain|messagingSenderId|appId)$/

function tierOf({ name, beside, call }: Named, text: string, isPage: boolean): Discovery['tier'] | undefined {
  if (text.startsWith('AIza') && beside.some(([each]) => OF_WEB_APP.test(each))) return undefined
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
