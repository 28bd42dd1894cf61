// Threads that read files. Each has a few files before it, so that it never waits, and answers in their order; so the one that it dies of is always the
// first that it has not answered.
// Invariants:
//   TH1. Every file is answered once, whatever happens to threads: the one that a thread died of, or sat on for FILE_MS_MAX, is told; the others of
//        that thread are read by another.
//   TH2. A thread's memory is bounded, and so is how often one is started again; when that is used up, what is left is told.
//   TH3. Where no thread can be started, what is left is given back.

import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'
import type { Clock } from '@ripstop/kernel'
import type { Unread } from '../repository/repository.ts'

/** How many files a thread has before it. */
const AHEAD = 12
const FILE_MS_MAX = 20_000
const DEATHS_MAX = 20
/** A thread's stack is as large as the main one's, twice over: `nesting.ts` was measured on that. */
const LIMITS = { maxOldGenerationSizeMb: 384, maxYoungGenerationSizeMb: 32, stackSizeMb: 16 }

export interface ThreadData {
  readonly root: string
}

/** What a thread says first: its code is there. */
export type Ready = 'ready'

export interface Answer {
  readonly bytes: Uint8Array | undefined
  readonly unread: Unread | undefined
  readonly hash: string | undefined
  readonly tookMs: number
}

export interface ThreadsOptions {
  readonly root: string
  readonly threads: number
  readonly clock: Pick<Clock, 'schedule'>
  readonly onAnswer: (file: string, answer: Answer) => void
  /** Of a thread's code; another one in tests. */
  readonly program?: URL
}

/** Resolves when every file is answered, but for those that it gives (TH3). Never rejects. */
export function readInThreads(files: readonly string[], options: ThreadsOptions): Promise<readonly string[]> {
  if (files.length === 0) return Promise.resolve([])
  return new Promise((resolve) => {
    const reading = new Reading(files, options, resolve)
    for (let index = 0; index < Math.min(options.threads, files.length); index++) reading.start()
  })
}

interface Thread {
  readonly worker: Worker
  readonly ahead: string[]
  /** Ends the wait for the first of them. */
  cancel: () => void
  hasStarted: boolean
  isOver: boolean
}

class Reading {
  readonly #files: readonly string[]
  readonly #options: ThreadsOptions
  readonly #done: (left: readonly string[]) => void
  readonly #living = new Set<Thread>()
  /** Of threads that died: nobody's yet. */
  readonly #again: string[] = []
  #next = 0
  #answered = 0
  #deaths = 0

  constructor(files: readonly string[], options: ThreadsOptions, done: (left: readonly string[]) => void) {
    this.#files = files
    this.#options = options
    this.#done = done
  }

  start(): void {
    // `.ts` here, `.js` when compiled.
    const program = this.#options.program ?? new URL(`./thread${extname(import.meta.url)}`, import.meta.url)
    const workerData: ThreadData = { root: this.#options.root }
    const worker = new Worker(program, { workerData, resourceLimits: LIMITS })
    const thread: Thread = { worker, ahead: [], cancel: () => {}, hasStarted: false, isOver: false }
    this.#living.add(thread)
    worker.on('message', (said: Answer | Ready) => {
      if (said === 'ready') thread.hasStarted = true
      else this.#hear(thread, said)
    })
    let why = 'the thread that read it ended'
    // Its last answers may still be on their way when the error is heard; before the exit they all are here.
    worker.on('error', (error) => {
      why = reasonOf(error)
    })
    worker.on('exit', () => this.#bury(thread, why))
    this.#feed(thread)
  }

  #feed(thread: Thread): void {
    while (thread.ahead.length < AHEAD) {
      const file = this.#again.pop() ?? this.#files[this.#next++]
      if (file === undefined) break
      thread.ahead.push(file)
      thread.worker.postMessage(file)
    }
    if (thread.ahead.length === 0) this.#end(thread)
    else this.#watch(thread)
  }

  #watch(thread: Thread): void {
    thread.cancel()
    thread.cancel = this.#options.clock.schedule(FILE_MS_MAX, () =>
      this.#bury(thread, `reading took longer than ${FILE_MS_MAX / 1_000} s`),
    )
  }

  #hear(thread: Thread, answer: Answer): void {
    const file = thread.ahead.shift()
    if (thread.isOver || file === undefined) return
    this.#answer(file, answer)
    this.#feed(thread)
  }

  /** TH1. */
  #bury(thread: Thread, why: string): void {
    if (thread.isOver) return
    this.#end(thread)
    const guilty = thread.hasStarted ? thread.ahead.shift() : undefined
    this.#again.push(...thread.ahead)
    if (guilty !== undefined) this.#tell(guilty, why)
    if (this.#answered === this.#files.length) return
    this.#deaths += 1
    if (thread.hasStarted && this.#deaths < DEATHS_MAX) this.start()
    else if (this.#living.size === 0) this.#giveUp(thread.hasStarted ? why : undefined)
  }

  /** TH2, TH3. */
  #giveUp(why: string | undefined): void {
    const left = [...this.#again, ...this.#files.slice(this.#next)]
    if (why === undefined) this.#done(left)
    else for (const file of left) this.#tell(file, why)
  }

  #tell(file: string, detail: string): void {
    const unread: Unread = { path: file, why: 'broken syntax', detail }
    this.#answer(file, { bytes: undefined, unread, hash: undefined, tookMs: 0 })
  }

  #answer(file: string, answer: Answer): void {
    this.#answered += 1
    this.#options.onAnswer(file, answer)
    if (this.#answered === this.#files.length) this.#done([])
  }

  #end(thread: Thread): void {
    thread.isOver = true
    thread.cancel()
    this.#living.delete(thread)
    void thread.worker.terminate()
  }
}

function reasonOf(error: unknown): string {
  const { code, message = '' } = error instanceof Error ? (error as Error & { readonly code?: string }) : {}
  return code === 'ERR_WORKER_OUT_OF_MEMORY' ? 'reading it takes too much memory' : message.slice(0, 100)
}
