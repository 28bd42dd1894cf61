import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { describeConfig } from './describe.ts'
import { CANARY, LEAVES, load } from './fixtures.ts'
import { configJsonSchema } from './json-schema.ts'

type Json = Record<string, unknown>

const FILE = `# yaml-language-server: $schema=./ripstop.schema.json
server:
  port: \${APP_PORT:-8080}
upstreams:
  orders: { url: http://127.0.0.1:4001/base, rate: { per_second: 5, burst: 2 } }
routes:
  - path: /orders
    upstream: orders
    methods: [GET, POST]
`

describe('description', () => {
  const lines = describeConfig(
    load(FILE, { DATABASE_URL: `postgres://app:${CANARY}@h1,h2/db`, LOG_LEVEL: 'warn' }),
  ).split('\n')
  const line = (path: string) => lines.find((text) => text.startsWith(`${path} `))?.replace(/ +/g, ' ')

  it('says what each setting is and where it came from', () => {
    expect(line('server.port')).toBe('server.port 8080 (ripstop.yaml:3:9)')
    expect(line('server.host')).toBe('server.host 127.0.0.1 (default)')
    expect(line('log.level')).toBe('log.level warn (LOG_LEVEL)')
    expect(line('upstreams.orders.url')).toBe('upstreams.orders.url http://127.0.0.1:4001/base (ripstop.yaml:5:18)')
    expect(line('upstreams.orders.rate.per_second')).toBe('upstreams.orders.rate.per_second 5 (ripstop.yaml:5:66)')
    expect(line('routes[0].methods')).toBe('routes[0].methods GET, POST (ripstop.yaml:9:5)')
    expect(line('routes[0].rate_limit.by')).toBe('routes[0].rate_limit.by both (default)')
    expect(lines.length).toBeGreaterThan(50)
  })

  it('leaves credentials out', () => {
    expect(line('postgres.url')).toBe('postgres.url postgres://app:***@h1:5432,h2:5432/db (DATABASE_URL)')
    expect(lines.join()).not.toContain(CANARY)
  })
})

describe('JSON Schema', () => {
  const schema = configJsonSchema()

  it('the copy in docs/ is current; else: ripstop config schema > docs/ripstop.schema.json', () => {
    const copy = readFileSync(new URL('../../../../../docs/ripstop.schema.json', import.meta.url), 'utf8')
    expect(JSON.parse(copy)).toEqual(JSON.parse(JSON.stringify(schema)))
  })

  it('describes every setting, and bounds every number, text and list', () => {
    let settings = 0
    const visit = (node: Json, path: string): void => {
      for (const [name, setting] of Object.entries((node.properties ?? {}) as Record<string, Json>)) {
        settings++
        const at = `${path}.${name}`
        expect(setting.description, at).toMatch(/\.$/)
        const kind = ((setting.anyOf as Json[] | undefined)?.[0] ?? setting) as Json
        if (kind.type === 'integer' || kind.type === 'number') {
          expect(kind, at).toMatchObject({ minimum: expect.any(Number), maximum: expect.any(Number) })
        }
        if (kind.type === 'array') expect(kind.maxItems, at).toBeDefined()
        if (kind.type === 'string') expect(kind.maxLength ?? kind.enum ?? kind.pattern, at).toBeDefined()
        visit(setting, at)
        for (const inner of [setting.additionalProperties, setting.items]) visit((inner ?? {}) as Json, at)
      }
    }
    visit(schema, '')
    expect(settings).toBeGreaterThanOrEqual(LEAVES.length)
  })

  it('accepts what the mesh accepts and refuses what it refuses', () => {
    const validate = z.fromJSONSchema(schema as z.core.JSONSchema.JSONSchema)
    expect(
      validate.safeParse({ server: { port: 1 }, upstreams: { a: { url: 'http://a', critical: `\${X}` } } }).success,
    ).toBe(true)
    expect(validate.safeParse({ server: { port: 'x' } }).success).toBe(false)
    expect(validate.safeParse({ srver: {} }).success).toBe(false)
    expect(validate.safeParse({ upstreams: { a: {} } }).success).toBe(false)
  })
})
