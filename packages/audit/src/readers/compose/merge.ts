// What compose does to the map of a service: short forms are spelled out, then an override, an extension or an include is laid over it.
//   CX4. Maps are merged by key, lists appended without doubles, volumes by target; `command`, `entrypoint` and a healthcheck's `test` are replaced.
//   CX5. `!reset` takes a value away, `!override` replaces it whole.

import type { Entry, Mapping, Scalar, Tree } from '../yaml.ts'
import { entriesOf, itemsOf, scalarText } from '../yaml.ts'

const REPLACED = new Set(['command', 'entrypoint', 'test'])
/** Marks what was written as a list of names. */
export const SHORT = '!short'

/** Lists of names or pairs become maps, scalars that stand for a map or a list become one. */
export function spellOut(service: Tree): Mapping {
  const entries = new Map<string, Entry>()
  for (const [name, entry] of entriesOf(service)) entries.set(name, { loc: entry.loc, value: spell(name, entry.value) })
  return { kind: 'map', entries, loc: service.loc, tag: service.tag }
}

function spell(name: string, value: Tree): Tree {
  switch (name) {
    case 'environment':
      return value.kind === 'list' ? mapOf(value, (item) => pair(item)) : value
    case 'depends_on':
      return value.kind === 'list' ? mapOf(value, (item) => [scalarText(item) ?? '', started(item)], SHORT) : value
    case 'networks':
      return value.kind === 'list' ? mapOf(value, (item) => [scalarText(item) ?? '', item]) : value
    case 'build':
      return value.kind === 'scalar'
        ? { ...value, kind: 'map', entries: new Map([['context', { loc: value.loc, value }]]) }
        : value
    case 'env_file':
    case 'profiles':
      return value.kind === 'scalar' ? { kind: 'list', items: [value], loc: value.loc, tag: value.tag } : value
    default:
      return value
  }
}

function mapOf(list: Tree, read: (item: Tree) => readonly [string, Tree], tag = list.tag): Mapping {
  const entries = new Map<string, Entry>()
  for (const item of itemsOf(list)) {
    const [name, value] = read(item)
    if (name !== '') entries.set(name, { loc: item.loc, value })
  }
  return { kind: 'map', entries, loc: list.loc, tag }
}

function started(item: Tree): Tree {
  const condition: Scalar = {
    kind: 'scalar',
    value: 'service_started',
    text: 'service_started',
    loc: item.loc,
    tag: SHORT,
  }
  return {
    kind: 'map',
    entries: new Map([['condition', { loc: item.loc, value: condition }]]),
    loc: item.loc,
    tag: SHORT,
  }
}

/** `A=b`; without `=` its value comes from the environment of whoever starts it. */
function pair(item: Tree): readonly [string, Tree] {
  const text = scalarText(item) ?? ''
  const raw = item.kind === 'scalar' ? (item.raw ?? text) : text
  const [name = '', value] = cut(text)
  const scalar: Scalar = {
    kind: 'scalar',
    value: value ?? null,
    text: value ?? '',
    raw: cut(raw)[1] ?? '',
    loc: item.loc,
    tag: undefined,
  }
  return [name, scalar]
}

function cut(text: string): readonly [string, string | undefined] {
  const index = text.indexOf('=')
  return index === -1 ? [text, undefined] : [text.slice(0, index), text.slice(index + 1)]
}

export function mergeTrees(base: Tree, over: Tree, name = ''): Tree {
  if (over.tag === '!override' || REPLACED.has(name)) return over
  if (base.kind === 'map' && over.kind === 'map') return mergeMaps(base, over)
  if (base.kind === 'list' && over.kind === 'list') {
    const key = name === 'volumes' ? targetOf : identityOf
    const kept = new Map(base.items.map((item) => [key(item), item]))
    for (const item of over.items) kept.set(key(item), item)
    return { ...over, items: [...kept.values()], loc: base.loc }
  }
  return over
}

function mergeMaps(base: Mapping, over: Mapping): Mapping {
  const entries = new Map(base.entries)
  for (const [name, entry] of over.entries) {
    const before = entries.get(name)
    if (entry.value.tag === '!reset') entries.delete(name)
    else if (before === undefined) entries.set(name, entry)
    else {
      const value = mergeTrees(before.value, entry.value, name)
      entries.set(name, { loc: value === entry.value ? entry.loc : before.loc, value })
    }
  }
  return { kind: 'map', entries, loc: base.loc, tag: base.tag === SHORT ? SHORT : over.tag }
}

function targetOf(item: Tree): string {
  const target = scalarText(entriesOf(item).get('target')?.value)
  return target ?? (scalarText(item) ?? '').split(':')[1] ?? identityOf(item)
}

function identityOf(item: Tree): string {
  return item.kind === 'scalar'
    ? item.text
    : JSON.stringify([...entriesOf(item)].map(([k, e]) => [k, scalarText(e.value)]))
}
