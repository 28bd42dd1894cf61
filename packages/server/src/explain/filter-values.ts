// What a filter looked at: the paths into the event that its expression names, and what is there. For people; nothing is decided by it.

const VALUES_MAX = 20
const VALUE_LENGTH_MAX = 80

export function filterValues(expression: string, event: Readonly<Record<string, unknown>>): Record<string, string> {
  const values: Record<string, string> = {}
  for (const [, path = '', called] of expression.matchAll(/\bevent((?:\.[A-Za-z_]\w*)+)\s*(\()?/g)) {
    const names = path.split('.').slice(1)
    // `event.data.name.startsWith(…)`: the last name is the function.
    if (called !== undefined) names.pop()
    if (names.length === 0 || Object.keys(values).length >= VALUES_MAX) continue
    values[['event', ...names].join('.')] = textOf(names.reduce<unknown>(within, event))
  }
  return values
}

function within(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined
  return (value as Readonly<Record<string, unknown>>)[name]
}

function textOf(value: unknown): string {
  if (value === undefined) return 'not there'
  const text = JSON.stringify(value)
  return text.length > VALUE_LENGTH_MAX ? `${text.slice(0, VALUE_LENGTH_MAX)}…` : text
}
