// One statement from several parts. What must happen together (a claim, its effect, its line in the audit log) goes to the
// server as common table expressions of one statement: it is one transaction without a round trip inside.
// Each part numbers its own parameters from $1, so that parts of different modules fit together.

export interface Part {
  /** By which the parts after it refer to it. */
  readonly name: string
  /** SQL with $1, $2 …; no quoted text may hold something that looks like a parameter. */
  readonly text: string
  readonly values: readonly unknown[]
}

export interface Statement {
  readonly text: string
  readonly values: readonly unknown[]
}

/** `with a as (…), b as (…) main`. A part that only reads runs only if something refers to it. */
export function composeStatement(parts: readonly Part[], main: string): Statement {
  const values: unknown[] = []
  const written = parts.map((part) => {
    const offset = values.length
    values.push(...part.values)
    const text = part.text.replaceAll(/\$(\d+)/g, (_, number: string) => `$${Number(number) + offset}`)
    return `${part.name} as (${text})`
  })
  return { text: `with ${written.join(',\n')}\n${main}`, values }
}
