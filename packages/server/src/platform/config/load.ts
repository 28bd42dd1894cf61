// Loading. Finds the file, reads it with a bound, and hands text and environment on.

import { closeSync, openSync, readSync } from 'node:fs'
import { basename, resolve } from 'node:path'
import { type Config, type ConfigInput, createConfig } from './config.ts'
import { FILE_VARIABLE, type Variables, variableText } from './environment.ts'
import type { Origin, ProblemList } from './problems.ts'
import { FILE_BYTES_MAX, parseYaml } from './yaml-file.ts'

const DEFAULT_FILE = 'ripstop.yaml'

export interface LoadOptions {
  /** process.env, which only the caller reads. */
  readonly env: Variables
  /** What relative paths start from. */
  readonly cwd: string
  /** From --config; wins over RIPSTOP_CONFIG. */
  readonly configPath?: string | undefined
  /** For tests. Throws as fs does. */
  readonly readFile?: (path: string) => Uint8Array
}

/**
 * Reads and parses the configuration: the file that --config or RIPSTOP_CONFIG names, else ./ripstop.yaml if there is
 * one, and the environment, which wins. Synchronous: nothing can start before it.
 * Throws CONFIG_INVALID with every problem, and nothing else.
 */
export function loadConfig(options: LoadOptions): Config {
  const { env, cwd } = options
  const named = options.configPath ?? variableText(env, FILE_VARIABLE)
  const file = resolve(cwd, named ?? DEFAULT_FILE)
  const read = readText(file, options.readFile ?? readBounded)
  const input: ConfigInput = { tree: undefined, env, cwd }
  if ('text' in read) {
    const parsed = parseYaml(read.text, basename(file))
    const addFaults = (problems: ProblemList): void => {
      for (const { origin, wrong, instead } of parsed.faults) problems.addAt(origin, wrong, instead)
    }
    return createConfig({ ...input, tree: parsed.tree, file, locate: parsed.locate, addFaults })
  }
  if (named === undefined && read.code === 'ENOENT') return createConfig(input)
  const origin: Origin = { kind: 'named', name: options.configPath === undefined ? FILE_VARIABLE : '--config' }
  return createConfig({ ...input, addFaults: (problems) => problems.addAt(origin, read.wrong, read.instead) })
}

type Read = { readonly text: string } | { readonly code: string; readonly wrong: string; readonly instead: string }

function readText(file: string, readFile: (path: string) => Uint8Array): Read {
  try {
    const bytes = readFile(file)
    if (bytes.byteLength > FILE_BYTES_MAX) {
      return { code: 'EFBIG', wrong: `names a file of more than ${FILE_BYTES_MAX} bytes`, instead: 'make it smaller' }
    }
    return { text: new TextDecoder('utf-8', { fatal: true }).decode(bytes) }
  } catch (error) {
    const code = typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : ''
    if (code === 'ERR_ENCODING_INVALID_ENCODED_DATA') {
      return { code, wrong: 'names a file that is not UTF-8', instead: 'save it as UTF-8' }
    }
    const why = /^[A-Z_]{1,40}$/.test(code) ? ` (${code})` : '' // the message would show the path
    return { code, wrong: `names a file that cannot be read${why}`, instead: 'name one that can' }
  }
}

/** At most a byte more than allowed: a device or a pipe has no size to ask for first. */
function readBounded(path: string): Uint8Array {
  const bytes = new Uint8Array(FILE_BYTES_MAX + 1)
  const descriptor = openSync(path, 'r')
  try {
    let length = 0
    for (let got = -1; got !== 0 && length < bytes.length; length += got) {
      got = readSync(descriptor, bytes, length, bytes.length - length, null)
    }
    return bytes.subarray(0, length)
  } finally {
    closeSync(descriptor)
  }
}
