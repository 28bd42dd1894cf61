// Spelling. "Did you mean": the known name that is closest to one that is not known, if it is close enough.

const LENGTH_MAX = 64 // the distance costs length squared; longer names are no slip of the pen

/** The closest of `known`, at most two slips or a third of the name away; undefined if none is. */
export function closest(name: string, known: readonly string[]): string | undefined {
  if (name.length > LENGTH_MAX) return undefined
  let best: string | undefined
  let bestDistance = Math.min(3, Math.ceil(name.length / 3) + 1) // a distance has to be below it
  for (const candidate of known) {
    const distance = slips(plain(name), plain(candidate))
    if (distance < bestDistance) {
      best = candidate
      bestDistance = distance
    }
  }
  return best
}

/** deadlineMs, Deadline-Ms and deadline_ms are the same name written by different hands. */
function plain(name: string): string {
  return name.toLowerCase().replace(/[^a-z0-9]/g, '')
}

/** Insertions, deletions, replacements and swapped neighbours (optimal string alignment). */
function slips(from: string, to: string): number {
  let beforeLast: number[] = []
  let last = Array.from({ length: to.length + 1 }, (_, column) => column)
  for (let row = 1; row <= from.length; row++) {
    const current = [row]
    for (let column = 1; column <= to.length; column++) {
      const same = from[row - 1] === to[column - 1]
      let least = Math.min(
        (last[column] ?? 0) + 1,
        (current[column - 1] ?? 0) + 1,
        (last[column - 1] ?? 0) + (same ? 0 : 1),
      )
      const swapped = row > 1 && column > 1 && from[row - 1] === to[column - 2] && from[row - 2] === to[column - 1]
      if (swapped) least = Math.min(least, (beforeLast[column - 2] ?? 0) + 1)
      current.push(least)
    }
    beforeLast = last
    last = current
  }
  return last[to.length] ?? 0
}
