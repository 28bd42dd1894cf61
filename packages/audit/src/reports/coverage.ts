// What was read and what was not: counted, by language and kind, with everything that was left out on purpose or could not be read.

import type { FileIndex, Repository } from '../repository/repository.ts'
import type { Scan } from '../scan.ts'
import { type Figure, figure } from './figure.ts'
import type { Coverage } from './report.ts'

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

export function coverageOf({ repository, brokenRules, suppressionProblems }: Scan): Coverage {
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
    suppressionProblems,
  }
}

function leftOutOf(files: FileIndex, counted: (value: number, unit: string) => Figure): Coverage['leftOut'] {
  return (['test', 'example', 'generated', 'vendored'] as const).flatMap((role) => {
    const own = files.list(role).length
    return own > 0 ? [{ role, files: counted(own, 'files') }] : []
  })
}
