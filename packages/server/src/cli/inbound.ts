// `ripstop inbound`: whose webhooks the mesh takes.

import { RipstopError } from '@ripstop/kernel'
import type { InboundSourceWire } from '@ripstop/protocol'
import { readInput } from './input-file.ts'
import type { MeshClient } from './mesh-request.ts'
import { formatAge, parseNumber } from './moments.ts'
import { formatTable, type Terminal } from './terminal.ts'
import { createGroup, verb, WrongUse } from './verbs.ts'

const SCHEMES = ['standard', 'stripe', 'github', 'shopify', 'slack']
const SOURCES_MAX = 10_000
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

export const inbound = createGroup('inbound', 'take webhooks of others: checked, once each, as events', [
  verb({
    usage: 'create NAME --scheme stripe --secret-file FILE|-',
    summary: `--scheme ${SCHEMES.join('|')}; the file holds what the provider signs with, - reads it from standard input`,
    options: { scheme: { type: 'string' }, 'secret-file': { type: 'string' } },
    run: async ({ terminal, mesh, values, words: [name = ''], show }) => {
      const { scheme } = values
      if (scheme === undefined || !SCHEMES.includes(scheme))
        throw new WrongUse(`--scheme takes one of ${SCHEMES.join(', ')}`)
      const secrets = await readSecrets(terminal, values['secret-file'])
      const source = await mesh.write<InboundSourceWire>('POST', '/v1/inbound-sources', { name, scheme, secrets })
      show(source, () => `source ${source.name} sends to POST ${source.path}; its events are of the types ${name}.*`)
      return 0
    },
  }),
  verb({
    usage: 'list [--limit 50]',
    summary: 'sources, and when they were heard of last',
    options: { limit: { type: 'string', default: '50' } },
    run: async ({ mesh, values, show }) => {
      const limit = parseNumber('--limit', values.limit)
      const found = await mesh.list<InboundSourceWire>('/v1/inbound-sources', limit)
      show(found, () => formatSources(found))
      return 0
    },
  }),
  verb({
    usage: 'secrets NAME --secret-file FILE|-',
    summary: 'replaces what it signs with; one a line, the old and the new one while the provider changes over',
    options: { 'secret-file': { type: 'string' } },
    run: async ({ terminal, mesh, values, words: [name = ''], show }) => {
      const secrets = await readSecrets(terminal, values['secret-file'])
      const source = await mesh.write<InboundSourceWire>('PATCH', await findPath(mesh, name), { secrets })
      show(source, () => `source ${source.name} is checked with ${source.secrets} secrets`)
      return 0
    },
  }),
  verb({
    usage: 'delete NAME',
    summary: 'takes nothing more from it; its events stay',
    run: async ({ terminal, mesh, words: [name = ''] }) => {
      await mesh.write('DELETE', await findPath(mesh, name))
      terminal.out(`source ${name} is deleted\n`)
      return 0
    },
  }),
])

/** A file, so that no list of processes and no history of a shell holds a secret. */
async function readSecrets(terminal: Terminal, file: string | undefined): Promise<readonly string[]> {
  if (file === undefined)
    throw new WrongUse(
      '--secret-file FILE is missing: it holds what the provider signs with; - reads it from standard input',
    )
  const text = await readInput(terminal, file)
  const secrets = text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')
  if (secrets.length === 0) throw new WrongUse(`${file} holds no secret`)
  return secrets
}

/** People say the name, scripts the id. */
async function findPath(mesh: MeshClient, name: string): Promise<string> {
  if (UUID.test(name)) return `/v1/inbound-sources/${name}`
  const found = await mesh.list<InboundSourceWire>('/v1/inbound-sources', SOURCES_MAX)
  const source = found.find((each) => each.name === name)
  if (source === undefined)
    throw new RipstopError('NOT_FOUND', `there is no source named ${name}: ripstop inbound list`)
  return `/v1/inbound-sources/${source.source_id}`
}

function formatSources(found: readonly InboundSourceWire[]): string {
  if (found.length === 0) return 'none: ripstop inbound create NAME --scheme stripe --secret-file FILE'
  const rows = found.map(({ name, scheme, last_received_at: at, path }) => [
    name,
    scheme,
    formatAge(at) || 'never',
    path,
  ])
  return formatTable([['SOURCE', 'SCHEME', 'LAST HEARD', 'SENDS TO'], ...rows])
}
