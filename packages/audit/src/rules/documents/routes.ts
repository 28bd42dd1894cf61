// Routes that a page names with their method, and that nothing answers.
//   DD3. Only pages of a repository whose services are all read count, and only paths whose beginning other routes share; where the last word of the path stands in any
//        call of the source, it is silent.

import type { Repository } from '../../repository/repository.ts'
import { entriesOf } from '../../system/entries.ts'
import type { Drift, Page } from './pages.ts'

const ROUTES_MIN = 5
const UNREAD = /\.(go|java|kt|rb|php|rs|cs|ex|exs|scala|graphql|proto)$/
const NAMED = /\b(GET|POST|PUT|PATCH|DELETE)\s+[`"']?(?:https?:\/\/[\w.:-]+)?(\/[\w\-./:{}<>[\]*$]*)/g
const CURL =
  /\bcurl\b(?:.*?(?:-X|--request)\s*(GET|POST|PUT|PATCH|DELETE))?.*?https?:\/\/(?:localhost|127\.0\.0\.1):\d+(\/[\w\-./:{}<>$]*)/

export interface Answered {
  /** First two words of the paths that are answered. */
  readonly beginnings: ReadonlySet<string>
  readonly shapes: ReadonlySet<string>
  /** Words that any call is given: a route that no reader found would be among them. Read when first asked for. */
  readonly hasWord: (word: string) => boolean
}

/** Undefined: not all of it is known. */
export function answeredBy(repository: Repository): Answered | undefined {
  const routes = entriesOf(repository).filter(({ kind, name }) => kind === 'route' && name.includes(' /'))
  if (routes.length < ROUTES_MIN || repository.files.list().some((path) => UNREAD.test(path))) return undefined
  const beginnings = new Set<string>()
  const shapes = new Set<string>()
  const all = [
    ...routes.map(({ name }) => name.slice(name.indexOf(' ') + 1)),
    ...repository.configuration.openapi.flatMap(({ operations }) => operations.map(({ path }) => path)),
  ]
  for (const path of all) {
    shapes.add(shapeOf(path))
    beginnings.add(beginningOf(path))
  }
  let words: ReadonlySet<string> | undefined
  const hasWord = (word: string): boolean => {
    words ??= wordsOfCalls(repository)
    return words.has(word)
  }
  return { beginnings, shapes, hasWord }
}

/** What is a parameter, in whatever way it is written, is `*`. */
function shapeOf(path: string): string {
  return (path.split('?')[0] ?? '')
    .replace(/\/+$/, '')
    .split('/')
    .map((part) => (isParameter(part) ? '*' : part.toLowerCase()))
    .join('/')
}

function isParameter(part: string): boolean {
  return /^[:{<[*$]|[}>\]]$|^\d+$|^[0-9a-f-]{16,}$|\d{3,}/.test(part)
}

function beginningOf(path: string): string {
  return path.split('/').slice(0, 3).join('/').toLowerCase()
}

function wordsOfCalls({ facts }: Repository): ReadonlySet<string> {
  const words = new Set<string>()
  const add = (text: string): void => {
    for (const word of text.toLowerCase().split(/[^\w-]+/)) words.add(word)
  }
  for (const { calls, blocks } of facts.values()) {
    for (const { args } of calls) for (const arg of args) if (arg.kind === 'string') add(arg.value)
    for (const { fn } of blocks)
      for (const { args } of fn?.decorators ?? []) for (const arg of args) if (arg.kind === 'string') add(arg.value)
  }
  return words
}

export function* driftOfRoutes({ beginnings, shapes, hasWord }: Answered, { lines }: Page): Iterable<Drift> {
  const seen = new Set<string>()
  for (const { text, loc, isRefused } of lines) {
    if (isRefused) continue
    const curl = CURL.exec(text)
    const named = [...text.matchAll(NAMED)].map((match) => [match[1] ?? '', match[2] ?? ''] as const)
    const all = curl === null ? named : [...named, [curl[1] ?? 'GET', curl[2] ?? ''] as const]
    for (const [method, raw] of all) {
      const path = raw.replace(/[.,:;*]+$/, '').replace(/\/+$/, '')
      const last = path.split('/').findLast((part) => part !== '' && !isParameter(part))
      if (last === undefined || path.includes('..') || seen.has(path) || /\.\w{2,4}$/.test(path)) continue
      seen.add(path)
      if (shapes.has(shapeOf(path)) || !beginnings.has(beginningOf(path)) || hasWord(last.toLowerCase())) continue
      yield { loc, what: `Nothing answers ${method} ${path}.` }
    }
  }
}
