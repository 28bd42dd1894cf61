// JSON Schema of ripstop.yaml, for editors: `# yaml-language-server: $schema=…` in the file's first line turns
// completion, descriptions and checks on. A copy is kept in docs/, and a test says when it is out of date.

import { z } from 'zod'
import { isMapping } from './schema-reading.ts'
import { createSettingsSchema } from './settings.ts'

type Json = Readonly<Record<string, unknown>>

const INTERPOLATED = { $ref: '#/$defs/interpolated' }

/** Draft 2020-12. Where a number, a choice or a list is wanted, a text with `${NAME}` may stand for it. */
export function configJsonSchema(): Json {
  const { $schema, ...schema } = z.toJSONSchema(createSettingsSchema(), { io: 'input' })
  return {
    $schema,
    title: 'ripstop.yaml',
    ...withInterpolation(schema),
    $defs: { interpolated: { type: 'string', pattern: '\\$\\{', description: `\${NAME} or \${NAME:-default}` } },
  }
}

function withInterpolation(schema: Json): Json {
  if (schema.type === 'object') return inSection(schema)
  if (schema.type === 'array' && isMapping(schema.items) && schema.items.type === 'object') {
    return { ...schema, items: inSection(schema.items) }
  }
  const isFreeText = schema.type === 'string' && schema.enum === undefined && schema.pattern === undefined
  if (isFreeText || schema.anyOf !== undefined) return schema
  const { description, default: preset, examples, ...constraints } = schema
  const items = isMapping(schema.items) ? { items: withInterpolation(schema.items) } : {}
  return {
    ...(description === undefined ? {} : { description }),
    ...(preset === undefined ? {} : { default: preset }),
    ...(examples === undefined ? {} : { examples }),
    anyOf: [{ ...constraints, ...items }, INTERPOLATED],
  }
}

/** A section's own default is left out: it is that of its settings. */
function inSection({ default: _preset, properties, additionalProperties: others, ...rest }: Json): Json {
  const inside = Object.entries(isMapping(properties) ? properties : {})
  return {
    ...rest,
    ...(inside.length === 0
      ? {}
      : { properties: Object.fromEntries(inside.map(([name, schema]) => [name, withInterpolation(schema as Json)])) }),
    additionalProperties: isMapping(others) ? withInterpolation(others) : others,
  }
}
