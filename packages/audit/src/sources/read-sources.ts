// All sources of a repository to facts: what the cache knows from there, the rest on threads where there is enough of it to pay for them.
//   TH4. The facts, what is told and their order are the same whatever came from the cache and however many threads there were.

import { join } from 'node:path'
import type { Clock } from '@ripstop/kernel'
import type { FileFacts } from '../facts/facts.ts'
import { brokenIn, readerOf } from '../readers/read-source.ts'
import { readBytes } from '../repository/read-file.ts'
import type { Unread } from '../repository/repository.ts'
import { WALK_LIMITS, type Walked } from '../repository/walk.ts'
import { createShared, readCompact, writeCompact } from './compact.ts'
import { hashOf, type OneRead, readOne } from './read-one.ts'
import { readInThreads } from './threads.ts'

/** Below it a thread costs more than it saves: 60 ms to start, against 140 ms to read (measured 2026-11-22). */
const THREADS_BYTES_MIN = 1_500_000
const PROGRESS_EVERY = 100

/** Facts of earlier audits. */
export interface KeptFacts {
  /** Of the file with just this content. */
  find(file: string, hash: string): Uint8Array | undefined
  keep(file: string, hash: string, bytes: Uint8Array): void
}

export interface ReadSourcesOptions {
  readonly clock: Pick<Clock, 'monoMs' | 'schedule'>
  readonly threads: number
  readonly kept: KeptFacts | undefined
  readonly progress: (done: number, all: number) => void
  /** Of one file: the reader's name, for figures. */
  readonly took: (reader: string, ms: number) => void
}

export interface ReadSources {
  readonly facts: ReadonlyMap<string, FileFacts>
  readonly unread: readonly Unread[]
  /** Of what was read of every source; undefined: nothing. */
  readonly hashes: ReadonlyMap<string, string | undefined>
}

/** Never throws for what lies in the folder. */
export async function readSources({ root, files }: Walked, options: ReadSourcesOptions): Promise<ReadSources> {
  const sources = files.filter(({ role, isOpaque }) => role === 'source' && !isOpaque)
  const gathering = new Gathering(root, sources.length, options)
  const rest = sources.filter(({ path }) => !gathering.fromKept(path))
  const bytes = rest.reduce((sum, file) => sum + file.bytes, 0)
  const paths = rest.map(({ path }) => path)
  const left = bytes < THREADS_BYTES_MIN || options.threads < 2 ? paths : await gathering.onThreads(paths)
  for (const path of left) gathering.here(path)
  return gathering.inOrder(sources.map(({ path }) => path))
}

interface Gathered {
  readonly facts: FileFacts | undefined
  readonly unread: Unread | undefined
  readonly hash: string | undefined
}

class Gathering {
  readonly #root: string
  readonly #all: number
  readonly #options: ReadSourcesOptions
  readonly #gathered = new Map<string, Gathered>()
  readonly #shared = createShared()

  constructor(root: string, all: number, options: ReadSourcesOptions) {
    this.#root = root
    this.#all = all
    this.#options = options
  }

  fromKept(path: string): boolean {
    const { kept } = this.#options
    const bytes = kept === undefined ? undefined : readBytes(join(this.#root, path), WALK_LIMITS.fileBytesMax)
    const hash = bytes === undefined ? undefined : hashOf(bytes)
    const found = hash === undefined ? undefined : kept?.find(path, hash)
    const facts = found === undefined ? undefined : this.#decode(path, found)
    if (facts === undefined || hash === undefined || found === undefined) return false
    kept?.keep(path, hash, found)
    this.#add(path, { facts, hash, unread: brokenIn(facts) })
    return true
  }

  onThreads(paths: readonly string[]): Promise<readonly string[]> {
    const { threads, clock } = this.#options
    return readInThreads(paths, {
      root: this.#root,
      threads,
      clock,
      onAnswer: (path, { bytes, unread, hash, tookMs }) => {
        this.#took(path, tookMs)
        if (bytes !== undefined && hash !== undefined) this.#options.kept?.keep(path, hash, bytes)
        this.#add(path, { facts: bytes === undefined ? undefined : this.#decode(path, bytes), unread, hash })
      },
    })
  }

  here(path: string): void {
    const read: OneRead = readOne(this.#root, path, this.#options.clock)
    this.#took(path, read.tookMs)
    if (read.facts !== undefined && read.hash !== undefined)
      this.#options.kept?.keep(path, read.hash, writeCompact(read.facts))
    this.#add(path, read)
  }

  /** TH4. */
  inOrder(paths: readonly string[]): ReadSources {
    const facts = new Map<string, FileFacts>()
    const unread: Unread[] = []
    const hashes = new Map<string, string | undefined>()
    for (const path of paths) {
      const own = this.#gathered.get(path)
      if (own?.facts !== undefined) facts.set(path, own.facts)
      if (own?.unread !== undefined) unread.push(own.unread)
      hashes.set(path, own?.hash)
    }
    return { facts, unread, hashes }
  }

  #add(path: string, { facts, unread, hash }: Gathered): void {
    this.#gathered.set(path, { facts, unread, hash })
    const done = this.#gathered.size
    if (done % PROGRESS_EVERY === 0 || done === this.#all) this.#options.progress(done, this.#all)
  }

  #took(path: string, ms: number): void {
    this.#options.took(readerOf(path) ?? 'unknown language', ms)
  }

  /** Undefined: these are not its facts, so they are no good. */
  #decode(path: string, bytes: Uint8Array): FileFacts | undefined {
    try {
      const facts = readCompact(bytes, this.#shared) as FileFacts
      // With the very string that others look it up by: comparing that is comparing an address.
      return facts.file === path && isSound(facts) ? { ...facts, file: path } : undefined
    } catch {
      return undefined // damaged in the cache: it is read anew
    }
  }
}

const LISTS = [
  'blocks',
  'calls',
  'assignments',
  'exits',
  'imports',
  'classes',
  'envReads',
  'comments',
  'exports',
] as const

/** What rules walk over without looking: lists that are there, and blocks whose parents lead out. */
function isSound(facts: FileFacts): boolean {
  const { blocks } = facts
  if (!LISTS.every((name) => Array.isArray(facts[name]))) return false
  return blocks.every(({ parent }, index) => {
    let at = index
    for (let steps = 0; at !== -1; steps++) {
      const up: unknown = blocks[at]?.parent
      if (!Number.isInteger(up) || steps > DEPTH_MAX) return false
      at = up as number
    }
    return parent < blocks.length
  })
}

/** No source that was read is nested deeper. */
const DEPTH_MAX = 5_000
