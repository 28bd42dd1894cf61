// What somebody may have meant who wrote a name that is not known. Nothing is done with it but to say it.

const NAMES_MAX = 3
const CHARS_MAX = 60

/** ` (did you mean a, b?)`, or nothing. */
export function suggest(word: string, known: readonly string[]): string {
  const asked = word.toLowerCase().slice(0, CHARS_MAX)
  const near = known
    .map((name) => ({ name, edits: name.includes(asked) && asked.length > 2 ? 0 : editsBetween(asked, name) }))
    .filter(({ name, edits }) => edits <= Math.max(1, Math.floor(name.length / 4)))
    .sort((a, b) => a.edits - b.edits)
  return near.length === 0
    ? ''
    : ` (did you mean ${near
        .slice(0, NAMES_MAX)
        .map(({ name }) => name)
        .join(', ')}?)`
}

/** Levenshtein, 1965: letters put in, taken out or changed. */
function editsBetween(one: string, other: string): number {
  let row = Array.from({ length: other.length + 1 }, (_, at) => at)
  for (const [at, char] of [...one].entries()) {
    const next = [at + 1]
    for (let to = 1; to <= other.length; to++) {
      const change = (row[to - 1] ?? 0) + (char === other[to - 1] ? 0 : 1)
      next.push(Math.min(change, (row[to] ?? 0) + 1, (next[to - 1] ?? 0) + 1))
    }
    row = next
  }
  return row[other.length] ?? 0
}
