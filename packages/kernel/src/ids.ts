// Chance. The only home of Math.random and of random ids; everything else is handed a Random.

/** A number in [0, 1). */
export type Random = () => number

export const systemRandom: Random = () => Math.random()

/** The same sequence for the same seed (mulberry32, Tommy Ettinger 2017, public domain): for simulations and tests. */
export function createSeededRandom(seed: number): Random {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

/** An id that sorts by time (UUIDv7, RFC 9562). `wallMs` is when it was made. */
export function createId(wallMs: number): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16))
  let rest = wallMs
  for (let index = 5; index >= 0; index--) {
    bytes[index] = rest % 256
    rest = Math.floor(rest / 256)
  }
  bytes[6] = 0x70 | ((bytes[6] ?? 0) & 0x0f)
  bytes[8] = 0x80 | ((bytes[8] ?? 0) & 0x3f)
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
}
