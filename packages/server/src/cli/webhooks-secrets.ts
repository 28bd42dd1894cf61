// Signing secrets in the terminal. One that is made is shown once; what is listed are ages and public keys.

import type { OrphanWire, StaleSecretWire, WebhookSecretWire } from '@ripstop/protocol'
import { formatAge, formatTime, parseDuration, parseNumber } from './moments.ts'
import { formatTable } from './terminal.ts'
import { verb, WrongUse } from './verbs.ts'
import { endpointPath, tellOnce } from './webhooks-endpoints.ts'

interface Shown {
  readonly secret_id: string
  readonly secret: string | null
}

export const secretVerbs = [
  verb({
    usage: 'secrets rotate ENDPOINT [--overlap 24h] [--algorithm v1a]',
    summary: 'a new secret, shown once; the old one signs beside it until the overlap ends',
    options: { overlap: { type: 'string' }, algorithm: { type: 'string' } },
    run: async ({ terminal, mesh, values: { overlap, algorithm }, words: [id = ''], show }) => {
      if (algorithm !== undefined && algorithm !== 'v1' && algorithm !== 'v1a')
        throw new WrongUse('--algorithm takes v1 or v1a')
      const rotated = await mesh.write<Shown>('POST', endpointPath(id, '/secrets'), {
        ...(overlap === undefined ? {} : { overlap_ms: parseDuration('--overlap', overlap) }),
        ...(algorithm === undefined ? {} : { algorithm }),
      })
      show(rotated, () => rotated.secret ?? '(shown before)')
      tellOnce(terminal, rotated.secret, `ripstop webhooks secrets rotate ${id}`)
      return 0
    },
  }),
  verb({
    usage: 'secrets list ENDPOINT',
    summary: 'those that sign, with their ages and public keys',
    run: async ({ mesh, words: [id = ''], show }) => {
      const found = await mesh.read<readonly WebhookSecretWire[]>(endpointPath(id, '/secrets'))
      show(found, () => formatSecrets(found))
      return 0
    },
  }),
  verb({
    usage: 'secrets reveal ENDPOINT SECRET',
    summary: 'shows one that was made by itself, once',
    run: async ({ terminal, mesh, words: [id = '', secretId = ''], show }) => {
      const path = endpointPath(id, `/secrets/${encodeURIComponent(secretId)}/reveal`)
      const revealed = await mesh.write<Shown>('POST', path)
      show(revealed, () => revealed.secret ?? '(shown before)')
      tellOnce(terminal, revealed.secret, `ripstop webhooks secrets rotate ${id}`)
      return 0
    },
  }),
  verb({
    usage: 'secrets revoke ENDPOINT SECRET',
    summary: 'it signs no more, at once',
    run: async ({ terminal, mesh, words: [id = '', secretId = ''] }) => {
      await mesh.write('DELETE', endpointPath(id, `/secrets/${encodeURIComponent(secretId)}`))
      terminal.out(`secret ${secretId} signs no more\n`)
      return 0
    },
  }),
  verb({
    usage: 'secrets stale',
    summary: 'those that are too old, or will be soon, and what to do',
    run: async ({ mesh, show }) => {
      const found = await mesh.read<readonly StaleSecretWire[]>('/v1/webhooks/secrets/stale')
      show(found, () => formatStale(found))
      return 0
    },
  }),
  verb({
    usage: 'orphans [--days 14] [--limit 50]',
    summary: 'endpoints that nobody seems to need: no success in so many days, owner gone, nothing ever matched',
    options: { days: { type: 'string', default: '14' }, limit: { type: 'string', default: '50' } },
    run: async ({ mesh, values, show }) => {
      const limit = parseNumber('--limit', values.limit)
      const days = parseNumber('--days', values.days)
      const found = await mesh.list<OrphanWire>('/v1/webhooks/orphans', limit, { days })
      show(found, () => formatOrphans(found))
      return 0
    },
  }),
]

function formatSecrets(found: readonly WebhookSecretWire[]): string {
  const rows = found.map((secret) => [
    secret.secret_id,
    secret.algorithm,
    secret.is_present ? 'present' : `signs until ${formatTime(secret.signs_until)}`,
    formatAge(secret.created_at),
    `too old ${formatTime(secret.too_old_at)}`,
    secret.is_unread ? 'unread' : '',
    secret.public_key ?? '',
  ])
  return formatTable([['SECRET', 'SIGNS', '', 'MADE', '', '', 'PUBLIC KEY'], ...rows])
}

function formatStale(found: readonly StaleSecretWire[]): string {
  if (found.length === 0) return 'none: every secret is young enough'
  return found
    .map((secret) => {
      const age = secret.is_too_old ? 'TOO OLD since' : 'too old at'
      return `${secret.endpoint_id}  ${secret.url}\n  ${secret.algorithm}, ${age} ${formatTime(secret.too_old_at)}. ${secret.what_to_do}`
    })
    .join('\n')
}

function formatOrphans(found: readonly OrphanWire[]): string {
  if (found.length === 0) return 'none'
  return found
    .map(({ endpoint_id: id, url, reasons, what_to_do: whatToDo, deleted_at: deletedAt }) =>
      [
        `${id}  ${url}`,
        ...reasons.map(({ reason, explanation }) => `  ${reason}: ${explanation}`),
        `  ${whatToDo}${deletedAt === null ? '' : ` It is deleted by itself ${formatTime(deletedAt)}.`}`,
      ].join('\n'),
    )
    .join('\n')
}
