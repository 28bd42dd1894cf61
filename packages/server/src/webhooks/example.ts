// An event made up from the schema of its type: something of the right form, so that fields can be mapped before the first real one.

const DEPTH_MAX = 6
const PROPERTIES_MAX = 100

/** CloudEvents 1.0, as it would be delivered. */
export function exampleOf(
  type: string,
  schema: unknown,
  wallMs: number,
): { id: string; type: string } & Record<string, unknown> {
  return {
    specversion: '1.0',
    id: '00000000-0000-7000-8000-000000000000',
    source: 'example',
    type,
    time: new Date(wallMs).toISOString(),
    datacontenttype: 'application/json',
    data: schema === undefined ? {} : sampleOf(schema, 0),
  }
}

function sampleOf(schema: unknown, depth: number): unknown {
  if (!isRecord(schema) || depth > DEPTH_MAX) return null
  if (Array.isArray(schema.examples) && schema.examples.length > 0) return schema.examples[0]
  if ('default' in schema) return schema.default
  if ('const' in schema) return schema.const
  if (Array.isArray(schema.enum) && schema.enum.length > 0) return schema.enum[0]
  const [type] = Array.isArray(schema.type)
    ? schema.type
    : [schema.type ?? ('properties' in schema ? 'object' : 'string')]
  switch (type) {
    case 'object':
      return objectOf(schema, depth)
    case 'array':
      return 'items' in schema ? [sampleOf(schema.items, depth + 1)] : []
    case 'integer':
    case 'number':
      return typeof schema.minimum === 'number' ? schema.minimum : 1
    case 'boolean':
      return true
    case 'null':
      return null
    default:
      return textOf(schema.format)
  }
}

function objectOf({ properties }: Record<string, unknown>, depth: number): Record<string, unknown> {
  if (!isRecord(properties)) return {}
  const entries = Object.entries(properties).slice(0, PROPERTIES_MAX)
  return Object.fromEntries(entries.map(([name, schema]) => [name, sampleOf(schema, depth + 1)]))
}

function textOf(format: unknown): string {
  switch (format) {
    case 'date-time':
      return '2026-01-01T00:00:00Z'
    case 'date':
      return '2026-01-01'
    case 'email':
      return 'somebody@example.com'
    case 'uri':
      return 'https://example.com'
    case 'uuid':
      return '00000000-0000-7000-8000-000000000000'
    default:
      return 'text'
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
