// Settings of live sessions: where they are kept and for how long, and how much one caller may ask.

import { z } from 'zod'
import { days, duration, whole } from './setting-kinds.ts'

export const sessionsSettings = () =>
  z.strictObject({
    store: z
      .enum(['auto', 'postgres', 'redis'])
      .default('auto')
      .describe('Which store takes commands; auto is redis where redis.url is set, else postgres.'),
    ended_ttl_s: whole(
      60,
      31_536_000,
      'How long a session that has ended is kept in Redis, seconds; Postgres keeps it for retention_days.',
    ).default(3_600),
    retention_days: days('How long sessions that have ended are kept, and the logs of all that are gone').default(30),
    backlog_max: whole(
      1_000,
      100_000_000,
      'Entries that Redis may hold and Postgres not yet; beyond it no session is created.',
    ).default(1_000_000),
  })

/** The figures of people are those of SyncKairos's design review; a server with a key speaks for many of them. */
export const sessionLimitsSettings = () =>
  z.strictObject({
    enabled: z.boolean().default(true).describe('Whether anything is limited.'),
    window_ms: whole(1_000, 3_600_000, 'What the following are counted in, ms.').default(60_000),
    reads: limit('Reads of a person (a session token, or an address).', 100),
    key_reads: limit('Reads of an API key.', 60_000),
    creations: limit('Sessions created from an address without an API key.', 5),
    key_creations: limit('Sessions created with an API key.', 6_000),
    connections: limit('WebSocket connections of a person.', 5),
    key_connections: limit('WebSocket connections with an API key.', 6_000),
    messages: limit('Messages of a WebSocket connection; time probes are free.', 100),
    commands_per_second: limit('Commands of a person to a session a second.', 10),
    key_commands_per_second: limit('Commands of an API key to a session a second.', 100),
    command_cooldown_ms: duration(3_600_000, 'How long who sends more commands than that is kept out').default(10_000),
  })

const limit = (description: string, most: number) => whole(1, 100_000_000, description).default(most)
