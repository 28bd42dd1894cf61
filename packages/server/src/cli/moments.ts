// Times and durations as people write and read them.

import { systemClock } from '@ripstop/kernel'
import { WrongUse } from './verbs.ts'

const UNITS_MS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** `2h` (ago), `2026-11-21`, or a full ISO time, as an ISO time. */
export function parseMoment(option: string, text: string): string {
  const ago = /^(\d+(?:\.\d+)?)([smhd])$/.exec(text)
  if (ago !== null) return new Date(systemClock.wallMs() - Number(ago[1]) * (UNITS_MS[ago[2] ?? ''] ?? 0)).toISOString()
  const wallMs = Date.parse(text)
  if (/^\d{4}-\d\d-\d\d/.test(text) && !Number.isNaN(wallMs)) return new Date(wallMs).toISOString()
  throw new WrongUse(`${option} takes a time: 2h (that long ago; s, m, h, d), or 2026-11-21T08:00:00Z`)
}

/** `90d`, `24h` as ms. */
export function parseDuration(option: string, text: string): number {
  const parts = /^(\d+(?:\.\d+)?)([smhd])$/.exec(text)
  if (parts !== null) return Math.round(Number(parts[1]) * (UNITS_MS[parts[2] ?? ''] ?? 0))
  throw new WrongUse(`${option} takes a duration, such as 30s, 15m, 24h or 7d`)
}

export function parseNumber(option: string, text: string, least = 1): number {
  const number = Number(text)
  if (text !== '' && Number.isInteger(number) && number >= least) return number
  throw new WrongUse(`${option} takes a whole number from ${least} on`)
}

/** `12 s ago`; empty for what never was. */
export function formatAge(iso: string | null | undefined): string {
  return iso == null ? '' : `${formatDuration(systemClock.wallMs() - Date.parse(iso))} ago`
}

export function formatDuration(ms: number): string {
  if (ms < 1_000) return `${Math.max(0, Math.round(ms))} ms`
  if (ms < 60_000) return `${Number((ms / 1_000).toFixed(ms < 10_000 ? 1 : 0))} s`
  if (ms < 3_600_000) return `${Math.round(ms / 60_000)} min`
  return ms < 172_800_000 ? `${Math.round(ms / 3_600_000)} h` : `${Math.round(ms / 86_400_000)} d`
}

/** To the second, UTC. */
export function formatTime(iso: string | null | undefined): string {
  return iso == null ? '' : `${iso.slice(0, 19).replace('T', ' ')}Z`
}
