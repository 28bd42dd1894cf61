// Secrets of source that fall back to a literal where their variable is unset.
//   SU2. A fallback that start-up refuses is silent: the name is asked for elsewhere (a list of what is required, a second read without fallback), or the literal itself is
//        compared with. Empty fallbacks, placeholders of nothing and what is no secret by its name are silent too.
//   QL7. An address with an account is one, whatever its name; one of this machine, or a form to fill in, is not.

import type { EnvRead, FileFacts, Value } from '../../facts/facts.ts'
import { folderOf, isBelow, join } from '../../repository/paths.ts'
import type { Repository } from '../../repository/repository.ts'
import { enclosing, symbolOf } from '../queries.ts'
import type { Discovery, Rule } from '../rule.ts'
import { accountOf, isCredential, isIssued, isNoKey, isPlaceholder, isSecretName } from './credentials.ts'
import { locOf } from './literals.ts'
import { isAside } from './places.ts'

/** Somebody else's account: without it a feature is missing, with a wrong one it is refused. */
const FOREIGN = /(^|_)(OPENAI|ANTHROPIC|GOOGLE|AWS|STRIPE|SENDGRID|SLACK|GITHUB|TWILIO|HUGGINGFACE|HF|AZURE|GEMINI)_/i

export const defaultSecret: Rule = {
  meta: {
    id: 'default-secret',
    category: 'security',
    severity: 'high',
    title: 'A secret has a default that everybody knows',
    why: 'The environment in which nobody set the variable starts without a word and signs, encrypts or lets in with a literal that stands in the repository.',
    remedies: [
      { priority: 'P0', text: 'Refuse to start where the variable is unset; keep defaults to tests.', effort: 'XS' },
    ],
    sources: ['https://cwe.mitre.org/data/definitions/1392.html', 'https://12factor.net/config'],
  },
  *run(repository: Repository): Iterable<Discovery> {
    const found = [...fallbacksOf(repository)]
    const refusals = refusalsOf(repository, new Set(found.flatMap(({ read, text }) => [read.name, text])))
    for (const { facts, read, text } of found) {
      if ([read.name, text].some((each) => isNear(repository, facts.file, refusals.get(each)))) continue
      const loc = locOf(repository, facts.file, read, read.name, text)
      yield {
        // What is only done somewhere may be development's.
        tier: enclosing(facts, read.block, ['branch', 'otherwise', 'handler']) === -1 ? 'strong' : 'review',
        cause: `defaults of secrets in ${facts.file}`,
        symbol: symbolOf(facts, read.block),
        symptom: `Where ${read.name} is unset, anybody who knows the repository can forge what it protects.`,
        rootCause: 'The variable has a literal fallback, and nothing at start-up asks for it.',
        evidence: [{ provenance: 'static', loc, what: `${read.name} falls back to a literal.` }],
      }
    }
  },
}

interface Fallback {
  readonly facts: FileFacts
  readonly read: EnvRead
  readonly text: string
}

function* fallbacksOf(repository: Repository): Iterable<Fallback> {
  for (const facts of repository.facts.values()) {
    if (isAside(facts.file)) continue
    for (const read of facts.envReads) {
      const text = read.fallback?.kind === 'string' ? read.fallback.value : ''
      if (isKnown(read, text)) yield { facts, read, text }
    }
  }
}

function isKnown({ name }: EnvRead, text: string): boolean {
  if (isAccount(name, text)) return true
  return (
    isSecretName(name) &&
    !TRIED.test(name) &&
    isCredential(text) &&
    !isOfNothing(text) &&
    !isNoKey(name, text) &&
    (!FOREIGN.test(name) || isIssued(text))
  )
}

const HERE =
  /^(?:localhost|127\.0\.0\.1|0\.0\.0\.0|\[?::1\]?|host\.docker\.internal|host|hostname|server|example\.\w+)$/i

/** QL7. The address of a store with its password, of another machine: what a container starts with when nobody says anything. */
function isAccount(name: string, text: string): boolean {
  const account = accountOf(text)
  const isOfForm = /:\/\/(?:user(?:name)?|your\w*|<\w+>):/i.test(text)
  return (
    account !== undefined &&
    !isOfForm &&
    !TRIED.test(name) &&
    !isPlaceholder(account.password) &&
    !/[{}$<>]/.test(account.password) &&
    !HERE.test(account.host)
  )
}

/** `TEST_JWT_SECRET`: of what is only tried. */
const TRIED = /^(?:TEST|MOCK|FAKE|DUMMY|EXAMPLE)_/i

/** Says aloud that there is none. */
function isOfNothing(text: string): boolean {
  return /^(not[-_ ]?(set|needed|used|provided|configured|required)|disabled|unset|missing|n\/?a|-+|\*+)$/i.test(text)
}

/** Where texts are that start-up may refuse by: names in lists and checks, literals that something is compared with. */
type Refusals = ReadonlyMap<string, readonly string[]>

const CHECKS = /require|assert|ensure|must|check|validate|mandatory/i

/** Only of words that are asked for. */
function refusalsOf({ facts }: Repository, wanted: ReadonlySet<string>): Refusals {
  const found = new Map<string, string[]>()
  if (wanted.size === 0) return found
  for (const { file, assignments, calls, blocks, exits } of facts.values()) {
    const add = (text: string): void => {
      if (!wanted.has(text)) return
      const files = found.get(text)
      if (files === undefined) found.set(text, [file])
      else files.push(file)
    }
    for (const { value } of assignments) for (const text of listed(value)) add(text)
    for (const { value } of exits) for (const text of listed(value)) add(text)
    for (const { args, callee } of calls)
      for (const value of args) {
        for (const text of listed(value)) add(text)
        if (value.kind === 'string' && CHECKS.test(callee.text)) add(value.value)
      }
    for (const { test } of blocks) for (const text of compared(test)) add(text)
  }
  return found
}

/** Items of a list, and names of a schema's object. */
function* listed(value: Value | undefined): Iterable<string> {
  if (value?.kind === 'list') for (const item of value.items) if (item.kind === 'string') yield item.value
  if (value?.kind === 'object') for (const [name, inner] of value.entries) if (inner.kind === 'call') yield name
}

function* compared(value: Value | undefined): Iterable<string> {
  if (value?.kind === 'string') yield value.value
  if (value?.kind === 'not') yield* compared(value.value)
  if (value?.kind === 'list') yield* listed(value)
  if (value?.kind !== 'operation') return
  yield* compared(value.left)
  yield* compared(value.right)
}

/** In the same package: another's list says nothing of this one's start. */
function isNear({ files }: Repository, file: string, others: readonly string[] | undefined): boolean {
  if (others === undefined) return false
  let folder = folderOf(file)
  while (folder !== '' && !MANIFESTS.some((name) => files.has(join(folder, name)))) folder = folderOf(folder)
  return others.some((other) => isBelow(other, folder))
}

const MANIFESTS = ['package.json', 'pyproject.toml', 'requirements.txt', 'setup.py']
