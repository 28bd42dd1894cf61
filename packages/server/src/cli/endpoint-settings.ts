// The settings of an endpoint as options of the command line.

import { parseDuration, parseNumber } from './moments.ts'
import { WrongUse } from './verbs.ts'

export const SETTING_OPTIONS = {
  type: { type: 'string', multiple: true },
  description: { type: 'string' },
  owner: { type: 'string' },
  filter: { type: 'string' },
  ordering: { type: 'string' },
  lanes: { type: 'string' },
  concurrency: { type: 'string' },
  rate: { type: 'string' },
  deadline: { type: 'string' },
  retry: { type: 'string' },
  'backlog-max': { type: 'string' },
  header: { type: 'string', multiple: true },
} as const

export const SETTINGS_HELP = `    --description TEXT · --owner WHO      for people, and for the report of orphans
    --filter "event.data.amount > 100"    CEL over the event
    --ordering key · --lanes 8            in order of each partitionkey, over so many lanes
    --concurrency 16 · --rate 50          at once; a second
    --deadline 15s · --retry 5s,5m,30m    of one attempt; the pause before the second, the third …
    --backlog-max 100000                  undone deliveries beyond which publishers are refused
    --header "Name: value"                goes with every delivery; as often as needed`

export type SettingValues = {
  readonly [Name in keyof typeof SETTING_OPTIONS]?:
    | ((typeof SETTING_OPTIONS)[Name] extends { readonly multiple: true } ? readonly string[] : string)
    | undefined
}

/** Those that were given, by their names on the wire; `none` is null. */
export function settingsOf(values: SettingValues): Readonly<Record<string, unknown>> {
  const { ordering, lanes, concurrency, rate, deadline, retry, header } = values
  if (ordering !== undefined && ordering !== 'key' && ordering !== 'none')
    throw new WrongUse('--ordering takes key (in order of each partitionkey) or none')
  const all = {
    event_types: values.type,
    description: values.description,
    owner: unlessNone(values.owner),
    filter: unlessNone(values.filter),
    ordering,
    lanes: lanes === undefined ? undefined : parseNumber('--lanes', lanes),
    concurrency: concurrency === undefined ? undefined : parseNumber('--concurrency', concurrency),
    rate_per_second: rate === undefined || rate === 'none' ? unlessNone(rate) : parseRate(rate),
    deadline_ms: deadline === undefined ? undefined : parseDuration('--deadline', deadline),
    retry_schedule_ms: retry?.split(',').map((step) => parseDuration('--retry', step.trim())),
    backlog_max: values['backlog-max'] === undefined ? undefined : parseNumber('--backlog-max', values['backlog-max']),
    headers: header === undefined ? undefined : Object.fromEntries(header.map(parseHeader)),
  }
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined))
}

function unlessNone(text: string | undefined): string | null | undefined {
  return text === 'none' ? null : text
}

function parseRate(text: string): number {
  const rate = Number(text)
  if (rate > 0) return rate
  throw new WrongUse('--rate takes deliveries a second, above 0, or none')
}

function parseHeader(text: string): readonly [string, string] {
  const colon = text.indexOf(':')
  if (colon > 0) return [text.slice(0, colon).trim(), text.slice(colon + 1).trim()]
  throw new WrongUse('--header takes "Name: value"')
}
