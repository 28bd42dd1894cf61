// What was read and what was not: counted, by language and kind, with everything that was left out on purpose or could not be read.

import type { BrokenPart } from '../parts.ts'
import type { FileIndex, Repository, Unread } from '../repository/repository.ts'
import type { Scan } from '../scan.ts'
import { type Figure, figure } from './figure.ts'
import type { Coverage } from './report.ts'

/** Why no file was read. */
export const NOTHING_READ = {
  'nothing known':
    'Nothing was read: it knows TypeScript, JavaScript and Python with their compose, Kubernetes, Dockerfile, environment and schema files, and there are none here.',
  'a mesh': 'No files: what is said here the running mesh says of itself.',
} as const

export function configurationCount({ configuration }: Repository): number {
  const { compose, kubernetes, dockerfiles, envFiles, manifests, schemas, openapi } = configuration
  return (
    compose.length +
    kubernetes.length +
    dockerfiles.length +
    envFiles.size +
    manifests.length +
    schemas.length +
    openapi.length
  )
}

export function coverageOf(
  { repository, brokenRules, suppressionProblems }: Scan,
  brokenParts: readonly BrokenPart[],
): Coverage {
  const { facts, configuration, files, unread } = repository
  const lines = new Map<string, { files: number; lines: number }>()
  for (const { language, lines: own } of facts.values()) {
    const known = lines.get(language) ?? { files: 0, lines: 0 }
    lines.set(language, { files: known.files + 1, lines: known.lines + own })
  }
  const counted = (value: number, unit: string): Figure => figure(value, unit, 'static', 'counted while reading')
  const kinds: readonly (readonly [string, number])[] = [
    ['compose projects', configuration.compose.length],
    ['Kubernetes objects', configuration.kubernetes.length],
    ['Dockerfiles', configuration.dockerfiles.length],
    ['environment files', configuration.envFiles.size],
    ['manifests', configuration.manifests.length],
    ['tables and collections', configuration.schemas.length],
    ['OpenAPI documents', configuration.openapi.length],
  ]
  return {
    languages: [...lines].map(([language, own]) => ({
      language,
      files: counted(own.files, 'files'),
      lines: counted(own.lines, 'lines'),
    })),
    configuration: kinds.flatMap(([kind, own]) => (own > 0 ? [{ kind, files: counted(own, 'read') }] : [])),
    leftOut: leftOutOf(files, counted),
    unread,
    brokenRules,
    brokenParts,
    suppressionProblems,
  }
}

/** What was not read, the reasons of many together: a hundred files of one unknown language are one thing to know. */
export function unreadGroups(unread: readonly Unread[]): readonly UnreadGroup[] {
  const groups = new Map<string, { why: string; paths: string[] }>()
  for (const { path, why, detail } of unread) {
    const text = detail === undefined ? why : `${why} (${detail})`
    const known = groups.get(text)
    if (known === undefined) groups.set(text, { why: text, paths: [path] })
    else known.paths.push(path)
  }
  return [...groups.values()].sort((a, b) => b.paths.length - a.paths.length)
}

export interface UnreadGroup {
  readonly why: string
  readonly paths: readonly string[]
}

/** Of rules and of parts that are none, in words. */
export function brokenIn({
  brokenRules,
  brokenParts,
}: Pick<Coverage, 'brokenRules' | 'brokenParts'>): readonly string[] {
  return [
    ...brokenRules.map(({ rule, message }) => `rule ${rule} broke: ${message}`),
    ...brokenParts.map(({ part, message }) => `${part} broke: ${message}`),
  ]
}

function leftOutOf(files: FileIndex, counted: (value: number, unit: string) => Figure): Coverage['leftOut'] {
  return (['test', 'example', 'generated', 'vendored'] as const).flatMap((role) => {
    const own = files.list(role).length
    return own > 0 ? [{ role, files: counted(own, 'files') }] : []
  })
}
