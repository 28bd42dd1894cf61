// Settings of events, deliveries, webhooks and what they rest on: the sections of ripstop.yaml that come with durable
// delivery.

import { z } from 'zod'
import { parseMasterKeys, parseNetworks } from './addresses.ts'
import { addresses, days, meta, whole } from './setting-kinds.ts'

export const secretsSettings = () =>
  z.strictObject({
    master_key: addresses(parseMasterKeys, 8)
      .prefault([])
      .meta(
        meta(
          'What secrets are sealed with: 32 bytes in base64. Of several the first seals and all open, for a rotation. Production needs one; development makes its own in server.state_dir.',
          'the output of openssl rand -base64 32',
        ),
      ),
  })

export const egressSettings = () =>
  z.strictObject({
    allow: addresses(parseNetworks, 256)
      .prefault([])
      .meta(meta("Networks that are not public and may be reached by strangers' addresses.", '10.20.0.0/16')),
  })

export const eventsSettings = () =>
  z.strictObject({
    retention_days: days('How long events are kept').default(30),
    event_bytes_max: whole(1_024, 1_048_576, 'Largest event, bytes.').default(262_144),
    types: z
      .enum(['open', 'strict'])
      .default('open')
      .describe('strict takes only events whose type was registered; open takes any type.'),
  })

export const deliverySettings = () =>
  z.strictObject({
    under_way_max: whole(1, 65_536, 'Deliveries under way at once in a process.').default(1_024),
    attempts_retention_days: days('How long attempts are kept').default(30),
    dead_letters_retention_days: days('How long dead letters are kept').default(90),
    parked_days_max: days(
      'How long deliveries wait for a paused or gone endpoint before they are dead letters',
    ).default(90),
  })

export const webhooksSettings = () =>
  z.strictObject({
    secret_max_age_days: days('An older signing secret is reported').default(90),
    secret_overlap_hours: whole(1, 168, 'How long an old secret signs beside its successor, hours.').default(24),
    rotate_secrets: z.boolean().default(false).describe('Replaces secrets that are too old by itself.'),
    pause_after_failing_hours: whole(1, 8_760, 'An endpoint that only failed for so long is paused, hours.').default(
      120,
    ),
    gone_after_missing: whole(1, 10_000, 'An endpoint that was missing (404, no such name) so often is gone.').default(
      20,
    ),
    orphan_after_days: days('An endpoint without a success for so long is reported as orphaned').default(30),
  })

export const deferredSettings = () =>
  z.strictObject({
    retention_days: days('How long answers are kept').default(7),
    response_bytes_max: whole(1_024, 16_777_216, 'Longest answer that is kept, bytes.').default(1_048_576),
  })
