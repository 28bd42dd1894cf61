// `ripstop webhooks check`: proves that every event that was published has the deliveries it should have.

import type { DeliveryCheckWire } from '@ripstop/protocol'
import { formatTime, parseMoment } from './moments.ts'
import { formatTable } from './terminal.ts'
import { verb } from './verbs.ts'

const IDS_SHOWN = 5

export const checkVerbs = [
  verb({
    usage: 'check [--since 1h] [--until 10s]',
    summary: 'counts what must never be, over all tenants (needs mesh:read); exit code 1 if something is',
    options: { since: { type: 'string' }, until: { type: 'string' } },
    run: async ({ mesh, values, show }) => {
      const check = await mesh.read<DeliveryCheckWire>('/v1/delivery/check', {
        since: values.since === undefined ? undefined : parseMoment('--since', values.since),
        until: values.until === undefined ? undefined : parseMoment('--until', values.until),
      })
      show(check, () => formatCheck(check))
      return check.ok ? 0 : 1
    },
  }),
]

function formatCheck({ ok, since, until, events, deliveries, counts }: DeliveryCheckWire): string {
  const rows = counts.map(({ name, what, count, ids }) => [
    count === 0 ? 'ok' : 'WRONG',
    String(count),
    name,
    count === 0 ? what : `${what} ${ids.slice(0, IDS_SHOWN).join(' ')}${count > IDS_SHOWN ? ' …' : ''}`,
  ])
  const seen = `${events} events from ${formatTime(since)} to ${formatTime(until)}, ${deliveries} deliveries`
  return `${formatTable([['', 'COUNT', 'OF', 'WHAT THAT IS'], ...rows])}\n${seen}: ${ok ? 'nothing is missing' : 'something is wrong'}`
}
