// What both roles publish with: events, and webhooks as their consumer. Whoever publishes decides who is told, in the same statement.

import type { EventConsumer } from '#events'
import { createEgress } from '#platform/egress'
import type { createPostgresLink } from '#platform/postgres'
import { createSealer, loadMasterKeys, type Sealer } from '#platform/sealing'
import { createWebhooks, type WebhookSettings, type Webhooks } from '#webhooks'
import type { RoleDeps } from './role.ts'

export interface Publishing extends AsyncDisposable {
  readonly webhooks: Webhooks
  readonly sealer: Sealer
  readonly consumers: readonly EventConsumer[]
  /** Does the tenant take only events whose type is registered? */
  readonly isStrict: (tenantId: string) => boolean
}

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS

function webhookSettingsOf({ webhooks }: RoleDeps['config']): Partial<WebhookSettings> {
  return {
    pauseAfterFailingMs: webhooks.pauseAfterFailingHours * HOUR_MS,
    goneAfterMissing: webhooks.goneAfterMissing,
    orphanAfterDays: webhooks.orphanAfterDays,
    secretMaxAgeMs: webhooks.secretMaxAgeDays * DAY_MS,
    secretOverlapMs: webhooks.secretOverlapHours * HOUR_MS,
    rotatesKeys: webhooks.rotateSecrets,
  }
}

export async function createPublishing(
  deps: RoleDeps,
  { link }: ReturnType<typeof createPostgresLink>,
): Promise<Publishing> {
  const { env, log, config, mesh } = deps
  const { environment, stateDir: stateDirectory } = config.server
  const given = config.secrets.masterKey.map((key) => key.reveal())
  const sealer = createSealer({ keys: await loadMasterKeys({ given, environment, stateDirectory }) })
  const egress = createEgress({
    env,
    allow: config.egress.allow,
    // The engine bounds what is under way, for each endpoint and in all: connections of one host must not be what others wait for.
    connectionsPerOrigin: config.delivery.underWayMax,
  })
  const webhooks = createWebhooks({ env, log, mesh, link, egress, sealer, settings: webhookSettingsOf(config) })
  return {
    webhooks,
    sealer,
    consumers: [webhooks.consumer],
    isStrict: () => config.events.types === 'strict',
    [Symbol.asyncDispose]: () => egress[Symbol.asyncDispose](),
  }
}
