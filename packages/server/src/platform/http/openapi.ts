// OpenAPI 3.1, made from the very schemas that check requests, so that the two can't disagree.

import { errorEnvelopeSchema } from '@ripstop/protocol'
import { z } from 'zod'
import type { Route } from './route.ts'

export type JsonSchema = Readonly<Record<string, unknown>>

export interface Parameter {
  readonly name: string
  readonly in: 'path' | 'query' | 'header'
  readonly required: boolean
  readonly description?: string
  readonly schema: JsonSchema
}

type Content = Readonly<Record<string, { readonly schema: JsonSchema }>>

export interface Operation {
  readonly operationId: string
  readonly summary: string
  readonly tags: readonly string[]
  readonly description?: string
  readonly deprecated?: boolean
  readonly security: readonly Readonly<Record<string, readonly string[]>>[]
  readonly parameters: readonly Parameter[]
  readonly requestBody?: { readonly required: boolean; readonly content: Content }
  readonly responses: Readonly<Record<string, Response>>
}

interface Response {
  readonly description: string
  readonly headers?: Readonly<Record<string, { readonly description: string; readonly schema: JsonSchema }>>
  readonly content?: Content
}

export interface OpenApi {
  readonly openapi: '3.1.0'
  readonly info: { readonly title: string; readonly version: string; readonly description: string }
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>
  readonly components: {
    readonly securitySchemes: JsonSchema
    readonly schemas: Readonly<Record<string, JsonSchema>>
  }
}

const DESCRIPTION =
  'Success is `{ data }`, lists add `next_cursor`, failures are `{ error }`. Times are UTC. Every POST takes an `Idempotency-Key`.'

/** The document. Schemas with an `id` become components. Throws for two different schemas under one id. */
export function createOpenApi(routes: readonly Route[], version: string): OpenApi {
  const schemas: Record<string, JsonSchema> = {}
  const paths: Record<string, Record<string, Operation>> = {}
  const convert = (schema: z.ZodType, io: 'input' | 'output'): JsonSchema => toJsonSchema(schema, io, schemas)
  const failure = convert(errorEnvelopeSchema, 'output')
  for (const route of routes) {
    paths[route.path] ??= {}
    const operations = paths[route.path] as Record<string, Operation>
    operations[route.method.toLowerCase()] = createOperation(route, convert, failure)
  }
  return {
    openapi: '3.1.0',
    info: { title: 'Ripstop', version, description: DESCRIPTION },
    paths: sorted(paths),
    components: {
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer', description: 'An API key.' },
        header: { type: 'apiKey', in: 'header', name: 'X-Api-Key' },
      },
      schemas: sorted(schemas),
    },
  }
}

type Convert = (schema: z.ZodType, io: 'input' | 'output') => JsonSchema

function createOperation(route: Route, convert: Convert, failure: JsonSchema): Operation {
  const { method, path, scopes, body, takes, deprecated, eTag } = route
  const parameters = [
    ...parametersOf('path', route.params, convert),
    ...parametersOf('query', route.query, convert),
    ...(method === 'POST' ? [IDEMPOTENCY_PARAMETER] : []),
    ...(eTag === 'matched' ? [IF_MATCH_PARAMETER] : []),
  ]
  const description = [
    ...(scopes !== 'public' && scopes.length > 0 ? [`Needs the scope ${scopes.join(' and ')}.`] : []),
    ...(deprecated?.instead === undefined ? [] : [`Use ${deprecated.instead} instead.`]),
  ].join(' ')
  return {
    operationId: operationIdOf(method, path),
    summary: route.summary,
    tags: [tagOf(route)],
    ...(description === '' ? {} : { description }),
    ...(deprecated === undefined ? {} : { deprecated: true }),
    security: scopes === 'public' ? [] : [{ bearer: [] }, { header: [] }],
    parameters,
    ...(body === undefined
      ? {}
      : { requestBody: { required: !isOptional(body), content: json(convert(body, 'input')) } }),
    ...(takes === 'raw' ? { requestBody: { required: true, content: RAW } } : {}),
    responses: responsesOf(route, convert, failure),
  }
}

function isOptional(schema: z.ZodType): boolean {
  return schema.safeParse(undefined).success
}

/** Any bytes of any type. */
const RAW: Content = { '*/*': { schema: {} } }

const IDEMPOTENCY_PARAMETER: Parameter = {
  name: 'Idempotency-Key',
  in: 'header',
  required: false,
  description:
    'The same key and request are done once; a repetition gets the first answer and `Idempotency-Replayed: true`.',
  schema: { type: 'string', minLength: 1, maxLength: 255 },
}

const IF_MATCH_PARAMETER: Parameter = {
  name: 'If-Match',
  in: 'header',
  required: false,
  description: 'An `ETag` that was told before: anything newer is answered 409 `CONFLICT`, with what is there now.',
  schema: { type: 'string' },
}

const E_TAG_HEADERS: NonNullable<Response['headers']> = {
  ETag: { description: 'The version of what is answered.', schema: { type: 'string' } },
}

function responsesOf(route: Route, convert: Convert, failure: JsonSchema): Operation['responses'] {
  const { response, eTag } = route
  const headers = eTag === undefined ? {} : { headers: E_TAG_HEADERS }
  const content: Content =
    typeof response === 'string' ? { [response]: { schema: { type: 'string' } } } : json(convert(response, 'output'))
  const responses: Record<string, Response> = {}
  for (const status of [route.status ?? 200, ...(route.otherStatuses ?? [])]) {
    const description = status < 400 ? 'Done.' : 'The same, with bad news.'
    responses[status] = status === 204 ? { description } : { description, ...headers, content }
  }
  responses.default = { description: 'A failure.', content: json(failure) }
  return responses
}

function parametersOf(where: 'path' | 'query', schema: z.ZodType | undefined, convert: Convert): Parameter[] {
  if (schema === undefined) return []
  const { properties = {}, required = [] } = convert(schema, 'input') as {
    readonly properties?: Readonly<Record<string, JsonSchema>>
    readonly required?: readonly string[]
  }
  return Object.entries(properties).map(([name, { description, ...rest }]) => ({
    name,
    in: where,
    required: where === 'path' || required.includes(name),
    ...(typeof description === 'string' ? { description } : {}),
    schema: rest,
  }))
}

/** Converts, moves named parts to `schemas`, and takes out what only repeats: patterns of formats, closed answers. */
function toJsonSchema(schema: z.ZodType, io: 'input' | 'output', schemas: Record<string, JsonSchema>): JsonSchema {
  const { $schema: _, $defs = {}, ...root } = z.toJSONSchema(schema, { io })
  for (const [id, part] of Object.entries($defs)) {
    const cleaned = clean(part, io) as JsonSchema
    const known = schemas[id]
    if (known !== undefined && JSON.stringify(known) !== JSON.stringify(cleaned)) {
      throw new TypeError(`two different schemas are named ${id}`)
    }
    schemas[id] = cleaned
  }
  return clean(root, io) as JsonSchema
}

function clean(value: unknown, io: 'input' | 'output'): unknown {
  if (Array.isArray(value)) return value.map((entry) => clean(entry, io))
  if (typeof value !== 'object' || value === null) return value
  const cleaned: Record<string, unknown> = {}
  const schema = value as JsonSchema
  for (const [key, entry] of Object.entries(schema)) {
    if (key === 'id' && typeof entry === 'string') continue // of .meta(): it is the component's name already
    if (key === 'pattern' && 'format' in schema) continue
    if (key === 'additionalProperties' && entry === false && io === 'output') continue // fields may be added
    cleaned[key] = key === '$ref' ? String(entry).replace('#/$defs/', '#/components/schemas/') : clean(entry, io)
  }
  return cleaned
}

/** By which the page groups them. */
function tagOf({ path, response }: Route): string {
  const versioned = /^\/v\d+\/([a-z_]+)/.exec(path)?.[1]
  return versioned ?? (response === 'text/html' || response === 'application/json' ? 'pages' : 'health')
}

function operationIdOf(method: string, path: string): string {
  const words = path.split('/').filter((part) => part !== '' && !/^v\d+$/.test(part))
  return [method.toLowerCase(), ...words.map((word) => word.replaceAll(/\W+/g, '_').replace(/^_|_$/g, ''))].join('_')
}

function json(schema: JsonSchema): Content {
  return { 'application/json': { schema } }
}

function sorted<T>(entries: Readonly<Record<string, T>>): Record<string, T> {
  return Object.fromEntries(Object.entries(entries).sort(([a], [b]) => (a < b ? -1 : 1)))
}
