// Commands with many verbs (`ripstop webhooks endpoints pause ID`). A verb says how it is written once, in its usage; what
// is looked for, what is needed and what is told to somebody who wrote it wrongly are all read from there.

import { type ParseArgsOptionsConfig, parseArgs } from 'node:util'
import { createMeshClient, type MeshClient } from './mesh-request.ts'
import type { CommandDoc, Terminal } from './terminal.ts'

type ValuesOf<O extends ParseArgsOptionsConfig> = ReturnType<
  typeof parseArgs<{ args: string[]; options: O; allowPositionals: true }>
>['values']

/** What a verb is run with. */
export interface Asked<Values> {
  readonly terminal: Terminal
  readonly mesh: MeshClient
  readonly values: Values
  /** What stands behind the verb's own words; as many as its usage names. */
  readonly words: readonly string[]
  readonly isJson: boolean
  /** The data as it came with --json, else what people read. */
  readonly show: (data: unknown, forPeople: () => string) => void
}

interface VerbDefinition<O extends ParseArgsOptionsConfig> {
  /** `endpoints pause ID`: its own words in lower case, then what it needs; `[X]` may be left out, `X…` may be many. */
  readonly usage: string
  readonly summary: string
  /** What `--help` of the verb tells beside them. */
  readonly more?: string
  readonly options?: O
  readonly run: (asked: Asked<ValuesOf<O>>) => Promise<number>
}

/** A verb with the types of its options erased. */
export interface Verb {
  readonly usage: string
  readonly summary: string
  readonly more?: string
  readonly options: ParseArgsOptionsConfig
  readonly run: (asked: Asked<never>) => Promise<number>
}

export function verb<const O extends ParseArgsOptionsConfig = Record<never, never>>(
  definition: VerbDefinition<O>,
): Verb {
  return { options: {}, ...definition } as Verb
}

/** Called wrongly: the message says what to write instead. It never leaves its command. */
export class WrongUse extends Error {
  override readonly name = 'WrongUse'
}

const COMMON = { json: { type: 'boolean' }, url: { type: 'string' }, help: { type: 'boolean', short: 'h' } } as const
const COMMON_HELP =
  '--json for machines · --url URL of the mesh (default: RIPSTOP_URL, else this machine) · RIPSTOP_KEY is the API key'

export function createGroup(name: string, summary: string, verbs: readonly Verb[]): CommandDoc {
  const help = [...verbs.map((each) => `ripstop ${name} ${each.usage}\n    ${each.summary}`), COMMON_HELP, ''].join(
    '\n',
  )
  const ways = [...new Set(verbs.map(({ usage }) => usage.split(' ', 1)[0]))].join('|')
  return {
    usage: `${name} ${ways} … (ripstop ${name} --help)`,
    summary,
    run: async (terminal) => {
      const found = findVerb(verbs, terminal.argv)
      if (found === undefined) return explainGroup(terminal, name, verbs, help)
      try {
        return await runVerb(terminal, name, found)
      } catch (error) {
        if (!isWrongUse(error)) throw error
        terminal.error(`${error.message}\nusage: ripstop ${name} ${found.usage}\n`)
        return 2
      }
    },
  }
}

async function runVerb(terminal: Terminal, name: string, found: Verb): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...terminal.argv],
    options: { ...found.options, ...COMMON },
    allowPositionals: true,
  })
  const common = values as ValuesOf<typeof COMMON>
  if (common.help === true) {
    const { usage, summary, more } = found
    const parts = [`ripstop ${name} ${usage}`, `    ${summary}`, ...(more === undefined ? [] : [more]), COMMON_HELP]
    terminal.out(`${parts.join('\n')}\n`)
    return 0
  }
  const words = positionals.slice(ownWordsOf(found).length)
  checkWords(found, words)
  const isJson = common.json === true
  return await found.run({
    terminal,
    isJson,
    mesh: createMeshClient(terminal, common.url),
    values: values as never,
    words,
    show: (data, forPeople) => terminal.out(`${isJson ? JSON.stringify(data, null, 2) : forPeople().trimEnd()}\n`),
  })
}

function ownWordsOf({ usage }: Verb): readonly string[] {
  const words = usage.split(' ')
  const end = words.findIndex((word) => !/^[a-z][a-z-]*$/.test(word))
  return end === -1 ? words : words.slice(0, end)
}

/** The verb with the most words of its own that the command line begins with. */
function findVerb(verbs: readonly Verb[], argv: readonly string[]): Verb | undefined {
  const words = argv.filter((word) => !word.startsWith('-'))
  return verbs
    .filter((each) => ownWordsOf(each).every((word, place) => words[place] === word))
    .sort((a, b) => ownWordsOf(b).length - ownWordsOf(a).length)[0]
}

function checkWords(found: Verb, words: readonly string[]): void {
  const behind = found.usage.split(' ').slice(ownWordsOf(found).length)
  const end = behind.findIndex((word) => /^\[?--/.test(word))
  const places = end === -1 ? behind : behind.slice(0, end)
  const missing = places.filter((place) => !place.startsWith('['))[words.length]
  if (missing !== undefined) throw new WrongUse(`${missing.replace('…', '')} is missing`)
  const many = places.at(-1)?.includes('…') === true
  const extra = words[places.length]
  if (extra !== undefined && !many) throw new WrongUse(`what is "${extra}"? Options begin with --`)
}

function explainGroup(terminal: Terminal, name: string, verbs: readonly Verb[], help: string): number {
  const [first] = terminal.argv
  if (terminal.argv.includes('--help') || terminal.argv.includes('-h')) {
    terminal.out(help)
    return 0
  }
  const near = verbs.filter((each) => ownWordsOf(each)[0] === first)
  const shown = near.length > 0 ? near : verbs
  const what = first === undefined ? '' : `there is no \`ripstop ${name} ${terminal.argv.join(' ')}\`. There is:\n`
  terminal.error(`${what}${shown.map(({ usage }) => `  ripstop ${name} ${usage}\n`).join('')}`)
  return 2
}

/** Ours, or node:util's parseArgs saying what it did not understand. */
function isWrongUse(error: unknown): error is Error {
  if (error instanceof WrongUse) return true
  return error instanceof TypeError && 'code' in error && String(error.code).startsWith('ERR_PARSE_ARGS')
}
