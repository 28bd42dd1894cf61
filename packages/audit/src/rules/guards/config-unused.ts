// Settings of guarantees that nobody reads: a number of attempts, a timeout, a limit that can be configured, is documented, and changes nothing.
//   QR10. That a field says which variable it is read from is no use of it.
//   GD3. A field of a settings class is found only where no source of the programs that load it says its name, in whatever way.

import type { FileFacts, Value } from '../../facts/facts.ts'
import { type IndexedFile, programOf } from '../../program/index.ts'
import type { Repository } from '../../repository/repository.ts'
import { GUARANTEES } from '../guarantees.ts'
import { seenAt } from '../queries.ts'
import type { Discovery, Rule } from '../rule.ts'
import { reachOf } from './reach.ts'

const GUARANTEE =
  /retr(?:y|ies)|timeout|attempt|backoff|rate_?limit|circuit|breaker|threshold|pool_?size|max_?(?:connections|concurren\w*|queue\w*|overflow|in_?flight)|heartbeat|keep_?alive/i

export const configUnused: Rule = {
  meta: {
    id: 'config-unused',
    category: 'guards',
    severity: 'medium',
    title: 'A setting of a guarantee that nobody reads',
    why: 'Operators turn it in an incident, and nothing happens; whoever reads it believes that there is a retry or a timeout where there is none.',
    remedies: [
      {
        priority: 'P2',
        text: 'Read it where the guarantee is given, or remove it.',
        effort: 'XS',
        guarantee: GUARANTEES.deadline,
      },
    ],
    sources: ['CWE-1164: irrelevant code'],
  },
  *run(repository: Repository): Iterable<Discovery> {
    const program = programOf(repository.facts)
    for (const path of program.files) {
      const file = program.file(path)
      if (file === undefined || !path.endsWith('.py')) continue
      const fields = file.facts.classes.flatMap(({ bases, block, name }) =>
        bases.some((base) => /(?:^|\.)BaseSettings$/.test(base)) ? fieldsOf(file, block, name) : [],
      )
      const said = fields.length === 0 ? NONE : namesSaid(repository, path, new Set(fields.map(({ name }) => name)))
      for (const { name, owner, line, endLine } of fields)
        if (!said.has(name))
          yield {
            tier: 'strong',
            evidence: [seenAt(path, { line, endLine }, `${name} is declared, and read by nobody`)],
            cause: `unread settings of ${owner} in ${path}`,
            symbol: `${owner}.${name}`,
            symptom:
              'Setting it changes nothing: the guarantee that it names is not there, or has a number of its own.',
            rootCause: `No source reads ${name} of ${owner}.`,
          }
    }
  },
}

const NONE: ReadonlySet<string> = new Set()

interface Field {
  readonly name: string
  readonly owner: string
  readonly line: number
  readonly endLine: number
}

function fieldsOf({ facts }: IndexedFile, block: number, owner: string): readonly Field[] {
  return facts.assignments.flatMap(({ target, isDeclaration, block: where, line, endLine }) =>
    where === block && isDeclaration && target.isOwn && GUARANTEE.test(target.text)
      ? [{ name: target.text, owner, line, endLine }]
      : [],
  )
}

/** Which of these names are said: in facts first, which are at hand, and then in the texts. */
function namesSaid(repository: Repository, declaredIn: string, names: ReadonlySet<string>): ReadonlySet<string> {
  const said = new Set<string>()
  const reach = reachOf(repository, declaredIn)
  for (const path of reach) {
    if (path === declaredIn || said.size === names.size) continue
    const facts = repository.facts.get(path)
    if (facts !== undefined) readNames(facts, names, said)
  }
  const rest = [...names].filter((name) => !said.has(name))
  if (rest.length === 0) return said
  for (const path of reach) {
    const text = repository.files.read(path) ?? ''
    for (const name of rest) if (!said.has(name) && isSaid(text, name, path === declaredIn)) said.add(name)
  }
  return said
}

const NAMES_IT = /\b(?:env|alias|validation_alias)\s*=\s*$/

/** In its own file the declaration is no use, nor is the name of its environment variable. */
function isSaid(text: string, name: string, isOwn: boolean): boolean {
  for (let at = text.indexOf(name); at !== -1; at = text.indexOf(name, at + 1)) {
    const before = text[at - 1] ?? '\n'
    if (/\w/.test(before) || /\w/.test(text[at + name.length] ?? ' ')) continue
    const isQuoted = before === '"' || before === "'"
    if (!isOwn || before === '.' || (isQuoted && !NAMES_IT.test(text.slice(Math.max(0, at - 30), at - 1)))) return true
  }
  return false
}

function readNames({ calls, assignments }: FileFacts, names: ReadonlySet<string>, said: Set<string>): void {
  const read = (value: Value): void => {
    if (value.kind === 'path') readPath(value.path.text, names, said)
    else if (value.kind === 'operation') {
      read(value.left)
      read(value.right)
    } else if (value.kind === 'not' || value.kind === 'await') read(value.value)
  }
  for (const { callee, args, named } of calls) {
    readPath(callee.text, names, said)
    const [, asked] = callee.text === 'getattr' ? args : []
    if (asked?.kind === 'template') readBuilt(asked.parts, names, said)
    for (const arg of args) read(arg)
    for (const [, value] of named) read(value)
  }
  for (const { value } of assignments) read(value)
}

/** `getattr(settings, f'{kind}_timeout')`: every name that ends, and begins, like that. */
function readBuilt(parts: readonly string[], names: ReadonlySet<string>, said: Set<string>): void {
  const first = parts[0] ?? ''
  const last = parts.at(-1) ?? ''
  for (const name of names) if (name.startsWith(first) && name.endsWith(last)) said.add(name)
}

function readPath(text: string, names: ReadonlySet<string>, said: Set<string>): void {
  if (!text.includes('.')) return
  for (const part of text.split('.')) if (names.has(part)) said.add(part)
}
