import { describe, expect, it } from 'vitest'
import { stringify } from 'yaml'
import { describeConfig } from './describe.ts'
import { CANARY, LEAVES, load, MASTER_KEY, problemAt, refused, treeWith } from './fixtures.ts'
import type { Path } from './schema-reading.ts'
import { Secret } from './secret.ts'

const write = (path: Path): string =>
  path
    .map((key) => (typeof key === 'number' ? `[${key}]` : `.${key}`))
    .join('')
    .slice(1)

describe('problems', () => {
  it('CF1: with every field wrong, each is named, none is missing, none is shown', () => {
    expect(LEAVES.length).toBeGreaterThan(50)
    for (const wrong of [{ [CANARY]: CANARY }, [[CANARY]], [null, CANARY]]) {
      const found = refused(() => load(stringify(treeWith(wrong))))
      const named = new Set(found.paths.map((path) => path.replace(/\[\d+\](?=$|\[)/g, '')))
      const missing = LEAVES.filter((path) => !named.has(write(path)) && !found.paths.includes(write(path)))
      expect(missing).toEqual([])
      expect(found.message).not.toContain(CANARY)
      for (const { where, instead } of found.problems) {
        expect(where).toMatch(/^ripstop\.yaml:\d+:\d+$/)
        expect(instead).not.toBe('')
      }
    }
  })

  it('CF1: numbers out of bounds are each named with their bounds, on both sides', () => {
    for (const [value, word] of [
      [-1, 'small'],
      [1e15, 'large'],
    ] as const) {
      const found = refused(() => load(stringify(treeWith(value))))
      for (const path of LEAVES) {
        const says = problemAt(found, write(path))
        expect(says, write(path)).toMatch(
          new RegExp(`is too ${word}; write a (whole )?number from [\\d.]+ to \\d+|is the wrong kind|not one of`),
        )
      }
    }
    expect(
      problemAt(
        refused(() => load('server: { port: 65536 }')),
        'server.port',
      ),
    ).toBe('ripstop.yaml:1:17: is too large; write a whole number from 0 to 65535')
    expect(
      problemAt(
        refused(() => load('server: { port: 1.5 }')),
        'server.port',
      ),
    ).toContain('write a whole number from 0')
  })

  it('CF1: the environment is reported beside the file, each by its own name', () => {
    const found = refused(() =>
      load('server: { shutdown_ms: soon }\nextra: 1\n', { PORT: CANARY, REDIS_URL: CANARY, TRUST_PROXY: 'all' }),
    )
    expect(found.problems.map(({ where, path }) => `${where} ${path}`)).toEqual([
      'ripstop.yaml:1:24 server.shutdown_ms',
      'ripstop.yaml:2:1 extra',
      'PORT server.port',
      'TRUST_PROXY server.trust_proxy',
      'REDIS_URL redis.url',
    ])
    expect(found.message).not.toContain(CANARY)
  })

  it('CF1: a file that is not YAML is reported beside the environment', () => {
    const found = refused(() => load(`server: {\n  port: "${CANARY}\n`, { PORT: 'x' }))
    expect(found.problems.some(({ where, path }) => where.startsWith('ripstop.yaml:') && path === '')).toBe(true)
    expect(found.paths).toContain('server.port')
    expect(found.message).not.toContain(CANARY)
  })

  it('names unknown keys, with the one that was meant, whoever wrote it', () => {
    const text =
      'server:\n  prot: 1\n  shutdownMs: 5\n  nonsense: 1\nupstream: {}\nupstreams:\n  orders: { url: "http://a", dedline_ms: 1 }\n'
    const found = refused(() => load(text))
    expect(problemAt(found, 'server.prot')).toBe('ripstop.yaml:2:3: is not a setting; did you mean port?')
    expect(problemAt(found, 'server.shutdownMs')).toContain('did you mean shutdown_ms?')
    expect(problemAt(found, 'server.nonsense')).toContain('the settings here are host, port')
    expect(problemAt(found, 'upstream')).toContain('did you mean upstreams?')
    expect(problemAt(found, 'upstreams.orders.dedline_ms')).toBe(
      'ripstop.yaml:7:30: is not a setting; did you mean deadline_ms?',
    )
  })

  it('CF2: a password shows neither in a URL, nor in a wrong field, nor as a key, nor in syntax errors', () => {
    const secret = 'Sup3rS3cretPw'
    const texts = [
      `postgres: { url: "postgres://app:${secret}@bad host/db" }`,
      `postgres: { url: "postgres://app:${secret}@h/db?password=${secret}" }`,
      `postgres: { url: "mysql://app:${secret}@h/db" }`,
      `redis: { url: "redis://:${secret}@h/x${secret}" }`,
      `server: { port: ${secret}, host: "${secret} x", environment: ${secret}, trust_proxy: ${secret} }`,
      `redis: { ${secret} }`,
      `"postgres://app:${secret}@h/db": 1`,
      `upstreams: { "${secret}!": { url: "${secret}" } }`,
      `upstreams: { orders: { url: "http://u:${secret}@h" } }`,
      `routes: [{ path: "/${secret}", upstream: ${secret} }, { path: "${secret}", upstream: x, scopes: ["${secret} "] }]`,
      `server: "${secret}\n  port: [${secret}`,
      `a: *${secret}`,
      `a: | ${secret}\n  x`,
      `a: >9${secret}\n x`,
      `a: !e!${secret} 1`,
      `a: !<${secret}> "\\q${secret}"\n\tb: ${secret}`,
      `${secret}`,
      `server: { host: "\${${secret} }" }`,
    ]
    for (const text of texts) expect(refused(() => load(text)).message, text).not.toContain(secret)
    for (const variable of [
      'DATABASE_URL',
      'REDIS_URL',
      'HOST',
      'PORT',
      'ALLOWED_ORIGINS',
      'TRUST_PROXY',
      'LOG_LEVEL',
      'RIPSTOP_ROLES',
      'RIPSTOP_MASTER_KEY',
    ]) {
      const { message, problems } = refused(() => load(undefined, { [variable]: `x://u:${secret}@ ${secret}` }))
      expect(message, variable).not.toContain(secret)
      expect(problems.map(({ where }) => where)).toContain(variable)
    }
  })

  it('CF2: a Secret shows its value only when asked', () => {
    const config = load(undefined, {
      DATABASE_URL: `postgres://app:${CANARY}@h/db`,
      REDIS_URL: `redis://:${CANARY}@h`,
      RIPSTOP_MASTER_KEY: MASTER_KEY,
    })
    const { inspect } = process.getBuiltinModule('node:util')
    for (const shown of [
      JSON.stringify(config),
      inspect(config, { depth: 20, showHidden: true }),
      describeConfig(config),
      `${new Secret(CANARY)}`,
    ]) {
      expect(shown).not.toContain(CANARY)
      expect(shown).not.toContain(MASTER_KEY)
    }
    expect(config.postgres.url?.password?.reveal()).toBe(CANARY)
  })

  it('reports no more than two hundred problems one by one', () => {
    const found = refused(() =>
      load(stringify(Object.fromEntries(Array.from({ length: 500 }, (_, index) => [`wrong${index}`, 1])))),
    )
    expect(found.problems).toHaveLength(200)
    expect(found.message).toContain('500 problems')
    expect(found.message).toContain('and 300 more')
  })

  it('warns of a variable that looks like ours', () => {
    expect(load(undefined, { RIPSTOP_STATEDIR: '/x', RIPSTOP_TEST_TOKEN: 'y' }).warnings).toEqual([
      'RIPSTOP_STATEDIR: is no variable of the mesh; did you mean RIPSTOP_STATE_DIR?',
    ])
  })
})
