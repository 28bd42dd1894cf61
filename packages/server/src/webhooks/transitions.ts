// Transitions: what attempts say about an endpoint becomes its state, with the audit line and the event that tell of it in the same
// statement. Findings wait in memory, one for an endpoint, until they are written: the last one counts, and a crash loses nothing, for
// the next attempt finds the same again.
// Invariants:
//   WK9. A state changes only from one that allows it: what a person decided is never undone by an attempt that was under way.

import { background, type Ctx, type Env, isRipstopError } from '@ripstop/kernel'
import { pause } from '#platform/pause'
import type { Log } from '#platform/telemetry'
import { HEALTH_ACTOR, ownLine } from './asking.ts'
import type { EndpointCache } from './cache.ts'
import type { Db } from './db.ts'
import { type Endpoint, probePauseMs } from './endpoint.ts'
import type { Finding } from './kind.ts'
import { ownEvent } from './own-events.ts'
import type { WebhookSettings } from './settings.ts'
import { type Change, changeEndpoint } from './store.ts'

const WRITE_MS = 5_000
const AGAIN_MS = 500
const JITTER = 0.1

export interface TransitionsDeps {
  readonly env: Env
  readonly link: Db
  readonly log: Log
  readonly cache: EndpointCache
  readonly settings: Pick<WebhookSettings, 'deleteGoneAfterMs'>
}

export class Transitions implements AsyncDisposable {
  readonly #deps: TransitionsDeps
  readonly #root: Ctx
  readonly #waiting = new Map<string, Finding>()
  #writing: Promise<void> | undefined

  constructor(deps: TransitionsDeps) {
    this.#deps = deps
    this.#root = background(deps.env)
  }

  /** Takes a finding in, and writes it as soon as it can. */
  found(finding: Finding): void {
    this.#waiting.set(finding.endpointId, finding)
    this.#writing ??= this.#write().finally(() => {
      this.#writing = undefined
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#root.cancel()
    await this.#writing
  }

  async #write(): Promise<void> {
    while (this.#waiting.size > 0 && this.#root.reason === undefined) {
      const [finding] = this.#waiting.values()
      if (finding === undefined) return
      try {
        await this.#writeOne(finding)
        if (this.#waiting.get(finding.endpointId) === finding) this.#waiting.delete(finding.endpointId)
      } catch (error) {
        // The database is away: the link tells so, and the endpoint is kept back meanwhile.
        const code = isRipstopError(error) ? error.code : 'INTERNAL'
        this.#deps.log.warn({ event: 'webhook.transition_failed', endpointId: finding.endpointId, code })
        await pause(this.#root, AGAIN_MS).catch(() => undefined)
      }
    }
  }

  async #writeOne(finding: Finding): Promise<void> {
    const { link, log, cache } = this.#deps
    const live = cache.endpoint(finding.endpointId)
    if (live === undefined) return
    using ctx = this.#root.within(WRITE_MS)
    const change = changeOf(this.#deps, finding, live.endpoint)
    const done = await changeEndpoint(link, ctx, change)
    await cache.refresh(live.endpoint.tenantId)
    const { endpointId } = finding
    if (done !== undefined) return log.info({ event: 'webhook.endpoint_changed', endpointId, what: finding.what })
    live.isHeld = false
  }
}

const UNPROBED = 'probe_at = null, probes = 0, is_probing = false'

function changeOf({ env, settings }: TransitionsDeps, finding: Finding, endpoint: Endpoint): Change {
  const { random } = env
  const { tenantId, endpointId, isHook, probes } = endpoint
  const base = { tenantId, endpointId, audit: ownLine(tenantId, 'endpoint.probe', `endpoint:${endpointId}`) }
  switch (finding.what) {
    case 'gone':
      return goneChange(base, finding.why, isHook ? 'now' : deletesAt(env, settings.deleteGoneAfterMs), random)
    case 'recovered':
      return {
        ...base,
        set: [
          `state = 'active', state_at = now(), state_reason = null, state_actor = $1::text, failing_since = null, missing_in_a_row = 0`,
          UNPROBED,
        ],
        values: [HEALTH_ACTOR],
        only: 'e.is_probing',
        audit: ownLine(tenantId, 'endpoint.resume', `endpoint:${endpointId}`, { after_probes: probes + 1 }),
        event: ownEvent('ripstop.endpoint.resumed', endpointId, { by: HEALTH_ACTOR }),
      }
    case 'still away':
      return {
        ...base,
        set: [`is_probing = false, probes = e.probes + 1, probe_at = now() + $1::float8 * interval '1 ms'`],
        values: [jittered(probePauseMs(probes + 1), random)],
        only: 'e.is_probing',
      }
    default:
      return finding satisfies never
  }
}

function deletesAt(env: Env, afterMs: number | undefined): string | undefined {
  return afterMs === undefined ? undefined : new Date(env.clock.wallMs() + afterMs).toISOString()
}

/** `deletes`: when it is deleted by itself; a REST Hook `now`, for its 410 unsubscribes. */
function goneChange(
  base: Pick<Change, 'tenantId' | 'endpointId'>,
  why: string,
  deletes: 'now' | string | undefined,
  random: () => number,
): Change {
  const { tenantId, endpointId } = base
  const isNow = deletes === 'now'
  return {
    ...base,
    set: [
      `state = 'gone', state_at = now(), state_reason = $1::text, state_actor = $2::text, is_probing = false, probes = 0`,
      isNow ? 'deleted_at = now()' : `probe_at = now() + $3::float8 * interval '1 ms'`,
    ],
    values: [why, HEALTH_ACTOR, ...(isNow ? [] : [jittered(probePauseMs(0), random)])],
    only: `e.state = 'active'`,
    audit: ownLine(tenantId, 'endpoint.gone', `endpoint:${endpointId}`, { reason: why, is_deleted: isNow }),
    event: ownEvent('ripstop.endpoint.gone', endpointId, {
      reason: why,
      is_unsubscribed: isNow,
      deleted_at: isNow ? null : (deletes ?? null),
    }),
  }
}

/** Failing for so long: parked until a probe succeeds or a person resumes it. For the health checker. */
export function failingChange(
  { tenantId, endpointId, health }: Endpoint,
  wallMs: number,
  random: () => number,
): Change {
  const since = health.failingSinceWallMs ?? wallMs
  const reason = `nothing succeeded since ${new Date(since).toISOString()}`
  return {
    tenantId,
    endpointId,
    set: [
      `state = 'paused', state_at = now(), state_reason = $1::text, state_actor = $2::text`,
      `is_probing = false, probes = 0, probe_at = now() + $3::float8 * interval '1 ms'`,
    ],
    values: [reason, HEALTH_ACTOR, jittered(probePauseMs(0), random)],
    only: `e.state = 'active' and e.failing_since is not null`,
    audit: ownLine(tenantId, 'endpoint.pause', `endpoint:${endpointId}`, { reason }),
    event: ownEvent('ripstop.endpoint.paused', endpointId, { reason, by: HEALTH_ACTOR }),
  }
}

/** Lets one delivery at a time through, to see whether it is back. For the health checker. */
export function probeChange({ tenantId, endpointId, probes }: Endpoint): Change {
  return {
    tenantId,
    endpointId,
    set: ['is_probing = true'],
    values: [],
    only: `e.state <> 'active' and e.probe_at <= now() and not e.is_probing`,
    audit: ownLine(tenantId, 'endpoint.probe', `endpoint:${endpointId}`, { probe: probes + 1 }),
  }
}

function jittered(ms: number, random: () => number): number {
  return ms * (1 - JITTER + 2 * JITTER * random())
}
