// Defaults that a page states with the name of a variable or constant, against the one that the source has.
//   OS4. Only where the name is the same, all reads of it agree on one number, the page states a bare number as the default, and no file of configuration gives that
//        number to the name. Units, ranges and words are silent.

import type { Value } from '../../facts/facts.ts'
import { folderOf, isBelow } from '../../repository/paths.ts'
import type { Repository } from '../../repository/repository.ts'
import type { Drift, Page } from './pages.ts'

const NAME = '[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+'
const ITEM = new RegExp(`^\\s*[-*]\\s+\\**\`(${NAME})\`\\**`)
const CELL = new RegExp(`^\`(${NAME})\`$`)
/** `(default: 5)`, `default 5.`, `Default: \`5\`,`: and nothing of a unit behind it. */
const SAID = /\bdefault(?:s to|: | is |:| )\s*\**`?(\d{1,9}(?:\.\d{1,4})?)`?\**\s*(?:[).,;|]|$)/i
const BARE = /^`?(\d{1,9}(?:\.\d{1,4})?)`?$/

interface Figure {
  readonly file: string
  readonly line: number
  /** NaN: not a number that is written there. */
  readonly value: number
}

const KEPT = new WeakMap<Repository['facts'], ReadonlyMap<string, readonly Figure[]>>()

export function* driftOfFigures(repository: Repository, page: Page): Iterable<Drift> {
  let header: readonly string[] | undefined
  for (const [index, { text, fence, loc, isRefused }] of page.lines.entries()) {
    if (fence !== undefined) continue
    const cells = cellsOf(text)
    if (cells === undefined) header = undefined
    else if (/^\s*\|?[\s:|-]+$/.test(page.lines[index + 1]?.text ?? ''))
      header = cells.map((cell) => cell.toLowerCase())
    if (isRefused) continue
    const said = cells === undefined ? ofItem(text) : ofRow(cells, header)
    if (said === undefined) continue
    const known = figuresOf(repository).get(said.name) ?? []
    const own = known.filter(({ file }) => isBelow(file, folderOf(page.file)))
    const [first] = own
    if (first === undefined || own.some(({ value }) => value !== first.value) || Number.isNaN(first.value)) continue
    if (first.value === said.value || isGiven(repository, said.name, said.value)) continue
    yield {
      loc,
      what: `It says that ${said.name} is ${said.value} by default; in ${first.file}:${first.line} it is ${first.value}.`,
    }
  }
}

interface Said {
  readonly name: string
  readonly value: number
}

function cellsOf(text: string): readonly string[] | undefined {
  const trimmed = text.trim()
  return trimmed.startsWith('|') && trimmed.endsWith('|')
    ? trimmed
        .slice(1, -1)
        .split('|')
        .map((cell) => cell.trim())
    : undefined
}

function ofRow(cells: readonly string[], header: readonly string[] | undefined): Said | undefined {
  const name = CELL.exec(cells[0] ?? '')?.[1]
  const column = header?.findIndex((title) => /^default(?: value)?$/.test(title)) ?? -1
  const value = column > 0 ? BARE.exec(cells[column] ?? '')?.[1] : undefined
  return name === undefined || value === undefined ? undefined : { name, value: Number(value) }
}

function ofItem(text: string): Said | undefined {
  const name = ITEM.exec(text)?.[1]
  const value = name === undefined ? undefined : SAID.exec(text)?.[1]
  return name === undefined || value === undefined ? undefined : { name, value: Number(value) }
}

/** Defaults of variables that are read, and constants, by name. */
function figuresOf({ facts }: Repository): ReadonlyMap<string, readonly Figure[]> {
  const kept = KEPT.get(facts)
  if (kept !== undefined) return kept
  const found = new Map<string, Figure[]>()
  const add = (name: string, figure: Figure): void => {
    const list = found.get(name)
    if (list === undefined) found.set(name, [figure])
    else list.push(figure)
  }
  for (const { file, envReads, assignments } of facts.values()) {
    for (const { name, fallback, line } of envReads) add(name, { file, line, value: numberOf(fallback) })
    for (const { target, value, line, block } of assignments)
      if (block === 0 && /^[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+$/.test(target.text) && value.kind === 'number')
        add(target.text, { file, line, value: value.value })
  }
  KEPT.set(facts, found)
  return found
}

function numberOf(value: Value | undefined): number {
  if (value?.kind === 'number') return value.value
  return value?.kind === 'string' && /^\d+(?:\.\d+)?$/.test(value.value) ? Number(value.value) : Number.NaN
}

/** Compose, an image, an example of an environment or a manifest says the same as the page: that is then what people get. */
function isGiven({ files, configuration }: Repository, name: string, value: number): boolean {
  const given = [...configuration.envFiles.values()].some((values) => values.get(name)?.value === String(value))
  if (given) return true
  const line = new RegExp(`${name}\\b[^\\n]{0,40}?(?<![\\d.])${String(value).replace('.', '\\.')}(?![\\d.])`)
  const below = new RegExp(
    `name:\\s*["']?${name}["']?\\s*\\n\\s*value:\\s*["']?${String(value).replace('.', '\\.')}\\b`,
  )
  const paths = [...files.list('configuration'), ...configuration.dockerfiles.map(({ file }) => file)]
  return paths.slice(0, 500).some((path) => {
    const text = files.read(path) ?? ''
    return text.includes(name) && (line.test(text) || below.test(text))
  })
}
