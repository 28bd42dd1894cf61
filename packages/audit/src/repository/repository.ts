// Everything that is known of an audited repository when rules run: the facts of its sources, what its configuration says, and the graph. Nothing of it was
// executed, and nothing outside of its folder was read.

import type { FileFacts } from '../facts/facts.ts'
import type { SystemGraph } from '../model/graph.ts'
import type { Configuration } from './configuration.ts'

export interface Repository {
  /** Absolute path. */
  readonly root: string
  readonly files: FileIndex
  /** By path. Tests, vendored, generated and example code is left out: see `files`. */
  readonly facts: ReadonlyMap<string, FileFacts>
  readonly configuration: Configuration
  readonly graph: SystemGraph
  readonly unread: readonly Unread[]
}

export type FileRole = 'source' | 'test' | 'example' | 'generated' | 'vendored' | 'document' | 'configuration' | 'other'

export interface FileIndex {
  has(path: string): boolean
  /** Undefined: it is not there, too large, or no text. Bounded and cached. */
  read(path: string): string | undefined
  role(path: string): FileRole | undefined
  /** In order. */
  list(role?: FileRole): readonly string[]
}

/** What was not read, and why: said in every report. */
export interface Unread {
  readonly path: string
  readonly why:
    | 'too large'
    | 'binary'
    | 'broken syntax'
    | 'unknown language'
    | 'symbolic link'
    | 'unreadable'
    | 'too many files'
  readonly detail?: string
}
