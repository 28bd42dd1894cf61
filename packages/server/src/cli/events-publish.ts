// `ripstop events publish`: one event or a file of them, in batches, each with an answer of its own.

import type { PublishResultsWire, PublishResultWire } from '@ripstop/protocol'
import { parseInput, readInput } from './input-file.ts'
import { createProgress } from './progress.ts'
import { type Asked, verb, WrongUse } from './verbs.ts'

const BATCH = 1_000
/** Below the 8 MB that the mesh takes at once. */
const BATCH_BYTES = 6_000_000
const SHOWN = 20

const OPTIONS = {
  type: { type: 'string' },
  source: { type: 'string' },
  id: { type: 'string' },
  key: { type: 'string' },
  subject: { type: 'string' },
} as const

export const publishVerbs = [
  verb({
    usage: 'publish FILE|- [--type order.paid [--source /shop] [--id ID] [--key KEY] [--subject TEXT]]',
    summary:
      'one CloudEvent, a list, or one a line; with --type the file is the data of one event. --id: published once, however often',
    options: OPTIONS,
    run: async (asked) => {
      const [file = ''] = asked.words
      const text = await readInput(asked.terminal, file)
      const events = asked.values.type === undefined ? parseEvents(file, text) : [wrap(file, text, asked.values)]
      if (asked.values.type === undefined) refuseLoneOptions(asked.values)
      return publish(asked, events)
    },
  }),
]

type Values = { readonly [Name in keyof typeof OPTIONS]?: string | undefined }

function refuseLoneOptions({ source, id, key, subject }: Values): void {
  if ([source, id, key, subject].some((value) => value !== undefined))
    throw new WrongUse(
      '--source, --id, --key and --subject go with --type; without it the events of the file say so themselves',
    )
}

function wrap(file: string, text: string, { type, source, id, key, subject }: Values): unknown {
  const data = text.trim() === '' ? undefined : parseInput(file, text)
  return { type, source, id, partitionkey: key, subject, data }
}

/** A list, `{ events }`, one event over many lines, or one event a line. */
function parseEvents(file: string, text: string): readonly unknown[] {
  const lines = text.split('\n').filter((line) => line.trim() !== '')
  if (lines.length === 0)
    throw new WrongUse(`${file} is empty: it takes a CloudEvent, such as {"type":"order.paid","data":{}}`)
  if (lines.length > 1 && lines.every((line) => line.startsWith('{') && line.trimEnd().endsWith('}')))
    return lines.map((line, index) => parseInput(`line ${index + 1} of ${file}`, line))
  const parsed = parseInput(file, text)
  if (Array.isArray(parsed)) return parsed
  const { events } = (parsed ?? {}) as { readonly events?: unknown }
  return Array.isArray(events) ? events : [parsed]
}

interface Numbered extends PublishResultWire {
  readonly place: number
}

async function publish({ terminal, mesh, show }: Asked<unknown>, events: readonly unknown[]): Promise<number> {
  const progress = createProgress(terminal)
  const results: Numbered[] = []
  for (const batch of toBatches(events)) {
    const answer = await mesh.write<PublishResultsWire>('POST', '/v1/events', { events: batch })
    const before = results.length
    results.push(...answer.results.map((result, index) => ({ ...result, place: before + index + 1 })))
    if (events.length > batch.length) progress.say(`${results.length} of ${events.length}`)
  }
  progress.end()
  const refused = results.filter(({ outcome }) => outcome === 'refused')
  show(results, () => formatResults(results, refused))
  return refused.length === 0 ? 0 : 1
}

function* toBatches(events: readonly unknown[]): Generator<readonly unknown[]> {
  let batch: unknown[] = []
  let bytes = 0
  for (const event of events) {
    const more = Buffer.byteLength(JSON.stringify(event) ?? '') + 1
    if (batch.length > 0 && (batch.length === BATCH || bytes + more > BATCH_BYTES)) {
      yield batch
      batch = []
      bytes = 0
    }
    batch.push(event)
    bytes += more
  }
  yield batch
}

/** Every event where there are few; else what was refused, and how many of each. */
function formatResults(results: readonly Numbered[], refused: readonly Numbered[]): string {
  const shown = results.length <= SHOWN ? results : refused.slice(0, SHOWN)
  const lines = shown.map(({ place, outcome, event_id: id, error }) => {
    const what = error === null ? (id ?? '') : `${error.code}: ${error.message}${formatProblems(error)}`
    return `${results.length === 1 ? '' : `${place}. `}${outcome} ${what}`
  })
  const left = refused.length > SHOWN && results.length > SHOWN ? [`and ${refused.length - SHOWN} more refused`] : []
  const count = (outcome: string): number => results.filter((result) => result.outcome === outcome).length
  const total = `${count('published')} published, ${count('duplicate')} known before, ${refused.length} refused`
  return [...lines, ...left, ...(results.length === 1 ? [] : [total])].join('\n')
}

/** What the message does not say already. */
function formatProblems({ message, details }: NonNullable<PublishResultWire['error']>): string {
  const problems = Array.isArray(details?.problems) ? (details.problems as readonly unknown[]) : []
  const lines = problems.slice(0, SHOWN).map((one) => {
    const { field = '', problem = '' } = one as { readonly field?: string; readonly problem?: string }
    return `${field} ${problem}`
  })
  return lines
    .filter((line) => !message.includes(line))
    .map((line) => `\n   ${line}`)
    .join('')
}
