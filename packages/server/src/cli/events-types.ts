// Types of events in the terminal: versioned schemas, their changelog, and whether consumers can live with them.

import type { ContractVerdictWire, EventTypeWire } from '@ripstop/protocol'
import { parseInput, readInput } from './input-file.ts'
import { formatTime, parseNumber } from './moments.ts'
import { formatTable } from './terminal.ts'
import { verb, WrongUse } from './verbs.ts'

type Change = EventTypeWire['changes'][number]

interface ChangelogEntry {
  readonly version: number
  readonly at: string
  readonly description: string
  readonly changes: readonly Change[]
}

export const typeVerbs = [
  verb({
    usage: 'types list [--limit 50]',
    summary: 'the newest version of every type',
    options: { limit: { type: 'string', default: '50' } },
    run: async ({ mesh, values, show }) => {
      const found = await mesh.list<EventTypeWire>('/v1/event-types', parseNumber('--limit', values.limit))
      show(found, () => formatTypes(found))
      return 0
    },
  }),
  verb({
    usage: 'types register NAME FILE|- [--description TEXT]',
    summary: 'a JSON Schema (2020-12) of the data; a compatible change makes a version, a breaking one is refused',
    options: { description: { type: 'string' } },
    run: async ({ terminal, mesh, values, words: [name = '', file = ''], show }) => {
      const schema = parseInput(file, await readInput(terminal, file))
      const type = await mesh.write<EventTypeWire>('POST', '/v1/event-types', {
        name,
        schema,
        ...(values.description === undefined ? {} : { description: values.description }),
      })
      show(type, () => [`${type.name} is at version ${type.version}`, ...formatChanges(type.changes)].join('\n'))
      return 0
    },
  }),
  verb({
    usage: 'types changelog NAME',
    summary: 'what changed from version to version',
    run: async ({ mesh, words: [name = ''], show }) => {
      const path = `/v1/event-types/${encodeURIComponent(name)}/changelog`
      const entries = await mesh.read<readonly ChangelogEntry[]>(path)
      show(entries, () => entries.map(formatEntry).join('\n\n'))
      return 0
    },
  }),
  verb({
    usage: 'contract-test FILE|-',
    summary:
      'whether every version guarantees what a consumer needs: {"order.paid": ["order.id", "order.lines[].sku"]}, or a JSON Schema instead of the list; exit code 1 if not',
    run: async ({ terminal, mesh, words: [file = ''], show }) => {
      const contracts = toContracts(file, parseInput(file, await readInput(terminal, file)))
      const verdicts: Record<string, ContractVerdictWire> = {}
      for (const [name, needs] of contracts) {
        const path = `/v1/event-types/${encodeURIComponent(name)}/contract-test`
        verdicts[name] = await mesh.write<ContractVerdictWire>('POST', path, needs)
      }
      show(verdicts, () => Object.entries(verdicts).map(formatVerdict).join('\n'))
      return Object.values(verdicts).every(({ guaranteed }) => guaranteed) ? 0 : 1
    },
  }),
]

function toContracts(file: string, parsed: unknown): readonly (readonly [string, object])[] {
  const entries = typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed) ? Object.entries(parsed) : []
  const isSound = entries.length > 0 && entries.every(([, needs]) => typeof needs === 'object' && needs !== null)
  if (!isSound) throw new WrongUse(`${file} takes types with what is needed of each: {"order.paid": ["order.id"]}`)
  return entries.map(([name, needs]) => [name, Array.isArray(needs) ? { fields: needs } : { schema: needs }])
}

function formatTypes(found: readonly EventTypeWire[]): string {
  if (found.length === 0) return 'none: events of every type are taken unchecked'
  const rows = found.map(({ name, version, created_at: at, deprecated_at: deprecatedAt, description }) => [
    name,
    `v${version}`,
    formatTime(at),
    deprecatedAt === null ? '' : `deprecated ${formatTime(deprecatedAt)}`,
    description,
  ])
  return formatTable([['TYPE', 'VERSION', 'SINCE', '', 'DESCRIPTION'], ...rows])
}

function formatEntry({ version, at, description, changes }: ChangelogEntry): string {
  return [`v${version}  ${formatTime(at)}  ${description}`.trimEnd(), ...formatChanges(changes)].join('\n')
}

function formatChanges(changes: readonly Change[]): readonly string[] {
  return changes.map(({ pointer, change, breaks }) => {
    const whom = breaks.length === 0 ? '' : ` (breaks ${breaks.join(' and ')})`
    return `  ${pointer === '' ? 'the data' : pointer} ${change}${whom}`
  })
}

function formatVerdict([name, { guaranteed, versions }]: readonly [string, ContractVerdictWire]): string {
  const missing = versions.flatMap((one) =>
    one.missing.map(({ pointer, problem }) => `  v${one.version} ${pointer === '' ? 'the data' : pointer} ${problem}`),
  )
  return [`${guaranteed ? 'ok    ' : 'BROKEN'}  ${name}`, ...missing].join('\n')
}
