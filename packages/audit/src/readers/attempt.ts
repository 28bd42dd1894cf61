// Readers of configuration are told apart by file: one that a reader gives up on, or finds broken, costs that file and is told.
//   WA14. A reader that throws costs its file alone; what it could not make sense of is told.

/** Hears of a file that was not read, or not whole. */
export type Tell = (file: string, problem: string) => void

/** Undefined: it was given up. */
export function attempt<T>(file: string, tell: Tell, read: () => T): T | undefined {
  try {
    return read()
  } catch (error) {
    tell(file, error instanceof Error ? error.message : 'it could not be read')
    return undefined
  }
}
