import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import type { Terminal } from './terminal.ts'
import { WrongUse } from './verbs.ts'

/** What a file holds, or with `-` what comes on standard input. Throws WrongUse where there is nothing to read. */
export async function readInput(terminal: Terminal, file: string): Promise<string> {
  if (file === '-') return terminal.input()
  try {
    return await readFile(resolve(terminal.cwd, file), 'utf8')
  } catch (error) {
    throw new WrongUse(`${file} can't be read: ${error instanceof Error ? error.message : String(error)}`)
  }
}

/** Throws WrongUse with the place where it is no JSON. */
export function parseInput(file: string, text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch (error) {
    throw new WrongUse(`${file} is no JSON: ${error instanceof Error ? error.message : String(error)}`)
  }
}
