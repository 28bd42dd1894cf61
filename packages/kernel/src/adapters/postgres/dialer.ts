// Dialing: opens a connection and proves its role before anybody may use it, and finds the writable one of several hosts.
// Hosts are raced with a head start for the earlier, so that one that swallows packets can't use up the time of the
// others. A pooler that refuses our startup parameters is dialed once more without; one dialer lives as long as its
// generation, so what it learned is learned again after a failover.

import type { Ctx } from '../../ctx.ts'
import { hasCode, RipstopError } from '../../errors.ts'
import { TimerEntry } from '../../proving.ts'
import { type Host, openConnection } from './connection.ts'
import { formatHost, type PostgresSettings } from './settings.ts'
import { Slot } from './slot.ts'

const HEAD_START_MS = 150
/** How servers and poolers refuse a startup parameter: protocol violation (pgBouncer), feature not supported. */
const REFUSED_PARAMETER: readonly unknown[] = ['08P01', '0A000']

export type SessionSettings = 'startup' | 'refused' | 'none'

export class Dialer {
  readonly settings: PostgresSettings
  #session: SessionSettings

  constructor(settings: PostgresSettings) {
    this.settings = settings
    this.#session = settings.sessionSettings === 'none' ? 'none' : 'startup'
  }

  /** Whether connections carry the session's timeouts. */
  get session(): SessionSettings {
    return this.#session
  }

  /** A proved connection to `host`. Rejects with PEER_WRONG_ROLE if it is a standby; always `sent: 'no'`. */
  async dial(host: Host, ctx: Ctx): Promise<Slot> {
    const slot = await this.#open(host, ctx)
    try {
      await proveRole(slot, host, ctx)
      return slot
    } catch (error) {
      slot.destroy()
      throw error
    }
  }

  /** A proved connection to the first of the hosts that is writable, and which one that is. */
  dialFirst(ctx: Ctx): Promise<{ readonly slot: Slot; readonly host: Host }> {
    const { hosts } = this.settings
    const { wheel, clock } = ctx.env
    const failures: unknown[] = []
    const racing = ctx.within(Number.POSITIVE_INFINITY)
    let started = 0
    let won = false
    return new Promise((resolve, reject) => {
      const start = (): void => {
        const host = hosts[started]
        if (won || host === undefined) return
        started++
        wheel.arm(headStart, clock.monoMs() + HEAD_START_MS)
        this.dial(host, racing).then((slot) => arrived(slot, host), failed)
      }
      const headStart = new TimerEntry(start)
      const arrived = (slot: Slot, host: Host): void => {
        if (won) return slot.destroy()
        won = true
        wheel.disarm(headStart)
        racing.cancel()
        resolve({ slot, host })
      }
      const failed = (error: unknown): void => {
        failures.push(error)
        if (won) return
        if (failures.length < hosts.length) return start()
        wheel.disarm(headStart)
        racing[Symbol.dispose]()
        reject(noneWritable(failures))
      }
      start()
    })
  }

  async #open(host: Host, ctx: Ctx): Promise<Slot> {
    const { settings } = this
    const nowMs = (): number => ctx.env.clock.monoMs()
    try {
      return new Slot(settings, await openConnection(settings, host, this.#session === 'startup', ctx), nowMs())
    } catch (error) {
      if (this.#session !== 'startup' || settings.sessionSettings !== 'auto' || !isRefusedParameter(error)) throw error
      const slot = new Slot(settings, await openConnection(settings, host, false, ctx), nowMs())
      this.#session = 'refused'
      return slot
    }
  }
}

/** One round trip. Rejects with PEER_WRONG_ROLE if the server answers but is a standby. */
export async function proveRole(slot: Slot, host: Host, ctx: Ctx): Promise<void> {
  const { rows } = await slot.run<{ standby: boolean }>(ctx, 'select pg_is_in_recovery() as standby')
  if (rows[0]?.standby !== false) {
    throw new RipstopError('PEER_WRONG_ROLE', `postgres: ${formatHost(host)} is a standby`, { sent: 'no' })
  }
}

function isRefusedParameter(error: unknown): boolean {
  return error instanceof RipstopError && REFUSED_PARAMETER.includes(error.details.sqlState)
}

function noneWritable(failures: readonly unknown[]): unknown {
  const [first, second] = failures
  if (second === undefined) return first
  const wrongRole = failures.some((failure) => hasCode(failure, 'PEER_WRONG_ROLE'))
  const reasons = failures.map((failure) => (failure instanceof Error ? failure.message : String(failure)))
  return new RipstopError(
    wrongRole ? 'PEER_WRONG_ROLE' : 'LINK_LOST',
    `postgres: no writable host: ${reasons.join('; ')}`,
    {
      cause: new AggregateError(failures),
      sent: 'no',
    },
  )
}
