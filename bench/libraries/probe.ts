// One thing to measure of a library.

import type { FarEnd } from './far-ends.ts'

// biome-ignore lint/suspicious/noExplicitAny: forty libraries, whatever they export; nothing here is checked but by running it.
export type Load = Record<string, any>

export interface Probe {
  /** As the knowledge base names it. */
  readonly library: string
  readonly package: string
  readonly what: string
  /** Returns or throws what the call does, or what was read. */
  readonly run: (loaded: Load) => Promise<unknown>
}

export const SOON_MS = 300

/** What was not waited for, but read from the library's own objects. */
export class Read {
  readonly value: unknown

  constructor(value: unknown) {
    this.value = value
  }
}

export function read(get: (loaded: Load) => unknown): Probe['run'] {
  return async (loaded) => new Read(await get(loaded))
}

/** Several things of one library. */
export function of(library: string, name: string, runs: Readonly<Record<string, Probe['run']>>): readonly Probe[] {
  return Object.entries(runs).map(([what, run]) => ({ library, package: name, what, run }))
}

/** How often a call is made that is refused each time, less the first. */
export async function came(far: FarEnd, ask: (url: string) => unknown): Promise<Read> {
  try {
    await ask(far.url)
  } catch {
    // It is refused: that is what is asked.
  }
  return new Read(far.asked() - 1)
}
