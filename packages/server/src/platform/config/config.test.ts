import { describe, expect, it } from 'vitest'
import { stringify } from 'yaml'
import { parseConfig } from './config.ts'
import { load, MASTER_KEY, ORDERS, problemAt, refused } from './fixtures.ts'
import { loadConfig } from './load.ts'

const OLD_KEY = 'h4xCq2n0oJtqk5sWm8vJx3y6b9e1c4f7a0d2g5j8l1o='

describe('defaults and precedence', () => {
  it('an empty directory and an empty environment give the documented defaults', () => {
    const config = load(undefined)
    expect(config.server).toEqual({
      host: '127.0.0.1',
      port: 3000,
      allowedOrigins: [],
      trustProxy: [],
      shutdownMs: 10_000,
      bodyBytesMax: 1_048_576,
      headerBytesMax: 16_384,
      environment: 'development',
      roles: ['edge', 'work'],
      stateDir: '/srv/app/.ripstop',
    })
    expect(config.access).toEqual({ mode: 'open' })
    expect(config.postgres).toEqual({
      url: undefined,
      poolSize: 10,
      waitMs: 1000,
      deadlineMs: 2000,
      statementTimeoutMs: 5000,
      sessionSettings: 'auto',
    })
    expect(config.redis).toEqual({ url: undefined, deadlineMs: 250 })
    expect(config.secrets).toEqual({ masterKey: [] })
    expect(config.egress).toEqual({ allow: [] })
    expect(config.events).toEqual({ retentionDays: 30, eventBytesMax: 262_144, types: 'open' })
    expect(config.delivery).toEqual({
      underWayMax: 1_024,
      attemptsRetentionDays: 30,
      deadLettersRetentionDays: 90,
      parkedDaysMax: 90,
    })
    expect(config.webhooks).toEqual({
      secretMaxAgeDays: 90,
      secretOverlapHours: 24,
      rotateSecrets: false,
      pauseAfterFailingHours: 120,
      goneAfterMissing: 20,
      orphanAfterDays: 30,
    })
    expect(config.deferred).toEqual({ retentionDays: 7, responseBytesMax: 1_048_576 })
    expect([config.upstreams, config.routes, config.file, config.warnings]).toEqual([[], [], undefined, []])
  })

  it('an upstream needs a url and nothing else; a route inherits from it, from access and from the server', () => {
    const config = load(
      stringify({
        server: { body_bytes_max: 500 },
        upstreams: ORDERS,
        routes: [{ path: '/orders/', upstream: 'orders' }],
      }),
    )
    expect(config.upstreams).toEqual([
      {
        name: 'orders',
        url: {
          host: '127.0.0.1',
          port: 4001,
          tls: false,
          origin: 'http://127.0.0.1:4001',
          pathPrefix: '',
          redacted: 'http://127.0.0.1:4001',
        },
        probe: { path: '/health', everyMs: 5000, deadlineMs: 1000 },
        deadlineMs: 5000,
        retry: { attempts: 3, baseMs: 25, capMs: 1000 },
        budget: { share: 0.2, perSecond: 3 },
        breaker: { failureRate: 0.5, minimumCalls: 20, windowMs: 10_000, openMs: 1000, openMsMax: 30_000 },
        bulkhead: { concurrent: 256, queue: 512 },
        connections: 64,
        critical: false,
        recoverWithinMs: 1500,
      },
    ])
    expect(config.routes).toEqual([
      {
        path: '/orders',
        upstream: 'orders',
        stripPrefix: false,
        upstreamIdempotent: false,
        deadlineMs: 5000,
        access: 'open',
        scopes: [],
        rateLimit: { perMinute: 1000, by: 'both' },
        websocket: false,
        bodyBytesMax: 500,
      },
    ])
  })

  it('the environment wins over the file, and an empty variable counts as not set', () => {
    const file = stringify({ server: { port: 1111, host: '127.0.0.2' }, log: { level: 'warn' } })
    const config = load(file, { PORT: '2222', HOST: '', LOG_LEVEL: 'debug' })
    expect([config.server.port, config.server.host, config.log.level]).toEqual([2222, '127.0.0.2', 'debug'])
  })

  it('every variable arrives where it belongs', () => {
    const config = load(undefined, {
      HOST: '::1',
      PORT: '0',
      ALLOWED_ORIGINS: 'https://a.example, http://localhost:8080,',
      TRUST_PROXY: 'loopback, 10.0.0.0/8',
      RIPSTOP_ENV: 'production',
      NODE_ENV: 'development',
      RIPSTOP_ROLES: 'edge',
      RIPSTOP_STATE_DIR: 'state',
      DATABASE_URL: 'postgres://app:a%2Fb%40long@h1:5432,h2/db?sslmode=verify-full',
      REDIS_URL: 'rediss://:pw@cache:7000/3',
      LOG_LEVEL: 'error',
      LOG_FORMAT: 'json',
      RIPSTOP_MASTER_KEY: `${MASTER_KEY}, ${OLD_KEY}`,
    })
    expect(config.server).toMatchObject({
      host: '::1',
      port: 0,
      allowedOrigins: ['https://a.example', 'http://localhost:8080'],
      trustProxy: ['127.0.0.0/8', '::1/128', '10.0.0.0/8'],
      environment: 'production',
      roles: ['edge'],
      stateDir: '/srv/app/state',
    })
    expect(config.access.mode).toBe('keys')
    expect(config.postgres.url).toMatchObject({
      hosts: [
        { host: 'h1', port: 5432 },
        { host: 'h2', port: 5432 },
      ],
      user: 'app',
      database: 'db',
      tls: 'verify',
    })
    expect(config.postgres.url?.password?.reveal()).toBe('a/b@long')
    expect(config.redis.url).toMatchObject({ host: 'cache', port: 7000, tls: true, database: 3 })
    expect(config.log).toEqual({ level: 'error', format: 'json' })
    expect(config.secrets.masterKey.map((key) => key.reveal())).toEqual([MASTER_KEY, OLD_KEY])
    expect(config.warnings).toHaveLength(1) // plain http in production
  })

  it('access is open by default only on a loopback host in development', () => {
    const modes = (
      [
        ['127.0.0.1', 'development'],
        ['localhost', 'development'],
        ['0.0.0.0', 'development'],
        ['127.0.0.1', 'production'],
      ] as const
    ).map(([HOST, RIPSTOP_ENV]) => load(undefined, { HOST, RIPSTOP_ENV, RIPSTOP_MASTER_KEY: MASTER_KEY }).access.mode)
    expect(modes).toEqual(['open', 'open', 'keys', 'keys'])
  })

  it('variables of SyncKairos set what they mean here; what would be missed is refused, the rest is told', () => {
    const config = load(undefined, {
      SESSION_TTL: '7200',
      RATE_LIMIT_ENABLED: 'false',
      RATE_LIMIT_WINDOW_MS: '30000',
      RATE_LIMIT_MAX_REQUESTS: '50',
      TRUST_PROXY: 'false',
      METRICS_PORT: '9091',
      ENABLE_METRICS: 'true',
      ENABLE_CORS: 'true',
      SENTRY_DSN: 'https://key@sentry.example/1',
    })
    expect(config.sessions.endedTtlS).toBe(7_200)
    expect(config.sessionLimits).toMatchObject({ enabled: false, windowMs: 30_000, reads: 50, creations: 5 })
    expect(config.server.trustProxy).toEqual([])
    expect(config.warnings.map((warning) => warning.split(':')[0])).toEqual([
      'ENABLE_CORS',
      'METRICS_PORT',
      'SENTRY_DSN',
    ])
    expect(config.warnings.join()).not.toContain('sentry.example')
    for (const variable of ['REDIS_SENTINEL_HOSTS', 'REDIS_SENTINEL_NAME', 'REDIS_CLUSTER_NODES']) {
      const { message, problems } = refused(() => load(undefined, { [variable]: 'a:1,b:2' }))
      expect([problems[0]?.where, message]).toEqual([variable, expect.stringContaining('not be kept in yet')])
    }
    const torn = refused(() => load(undefined, { ENABLE_CORS: 'false', ALLOWED_ORIGINS: 'https://a.example' }))
    expect(torn.message).toContain('contradicts ALLOWED_ORIGINS')
    expect(load(undefined, { ENABLE_CORS: 'false' }).warnings).toEqual([])
    expect(() => load(undefined, { TRUST_PROXY: 'true' })).toThrowError(/trusts every peer/)
  })

  it('NODE_ENV=test is development, and RIPSTOP_ENV wins over NODE_ENV', () => {
    expect(load(undefined, { NODE_ENV: 'test' }).server.environment).toBe('development')
    expect(
      load(undefined, { NODE_ENV: 'test', RIPSTOP_ENV: 'production', RIPSTOP_MASTER_KEY: MASTER_KEY }).server
        .environment,
    ).toBe('production')
    expect(
      problemAt(
        refused(() => load(undefined, { NODE_ENV: 'staging' })),
        'server.environment',
      ),
    ).toBe('NODE_ENV: is not one of the choices; write one of development, production')
  })

  it('the file is the one that --config names, else RIPSTOP_CONFIG, else ./ripstop.yaml; state is kept beside it', () => {
    const read: string[] = []
    const readFile = (path: string) => {
      read.push(path)
      return new Uint8Array()
    }
    const byOption = loadConfig({ env: { RIPSTOP_CONFIG: 'b.yaml' }, cwd: '/srv', configPath: 'etc/a.yaml', readFile })
    loadConfig({ env: { RIPSTOP_CONFIG: '/b.yaml' }, cwd: '/srv', readFile })
    loadConfig({ env: {}, cwd: '/srv', readFile })
    expect(read).toEqual(['/srv/etc/a.yaml', '/b.yaml', '/srv/ripstop.yaml'])
    expect([byOption.file, byOption.server.stateDir]).toEqual(['/srv/etc/a.yaml', '/srv/etc/.ripstop'])
  })

  it('a retry pause is cut to a short deadline unless it was asked for', () => {
    const orders = { url: 'http://127.0.0.1:4001', deadline_ms: 20 }
    expect(parseConfig({ upstreams: { orders } }, {}).upstreams[0]?.retry).toEqual({
      attempts: 3,
      baseMs: 20,
      capMs: 20,
    })
  })

  it('empty sections mean their defaults', () => {
    expect(load('redis:\nroutes:\nupstreams:\nserver:\n').server.port).toBe(3000)
  })
})

describe('the result', () => {
  it('CF4: the result is frozen, all the way down', () => {
    const config = load(
      stringify({ upstreams: ORDERS, routes: [{ path: '/orders', upstream: 'orders', methods: ['GET'] }] }),
      {
        DATABASE_URL: 'postgres://a:bcdefghij@h1,h2/db',
      },
    )
    const visit = (value: unknown): void => {
      if (typeof value !== 'object' || value === null) return
      expect(Object.isFrozen(value)).toBe(true)
      for (const entry of Object.values(value)) visit(entry)
    }
    visit(config)
  })
})

describe('interpolation', () => {
  it('replaces variables in values, with defaults, and turns them into what the field wants', () => {
    const text = `
server: { port: "\${APP_PORT}", allowed_origins: "\${ORIGINS:-https://a.example,https://b.example}" }
upstreams:
  orders: { url: "http://\${ORDERS_HOST:-127.0.0.1}:4001", critical: "\${CRITICAL:-true}", deadline_ms: "\${D}" }
`
    const config = load(text, { APP_PORT: '4321', D: '700' })
    expect(config.server.port).toBe(4321)
    expect(config.server.allowedOrigins).toEqual(['https://a.example', 'https://b.example'])
    expect(config.upstreams[0]).toMatchObject({
      critical: true,
      deadlineMs: 700,
      url: { origin: 'http://127.0.0.1:4001' },
    })
  })

  it('can not change the structure of the file, and is not applied twice', () => {
    const text = `upstreams: { orders: { url: "\${URL}" } }\n`
    expect(refused(() => load(text, { URL: 'http://a\nroutes: []' })).paths).toEqual(['upstreams.orders.url'])
    expect(refused(() => load(text, { URL: `\${OTHER}`, OTHER: 'http://a' })).paths).toEqual(['upstreams.orders.url'])
  })

  it('a variable that is missing, and one that can not be read, are problems at their line', () => {
    const text = `server:\n  port: \${NOPE}\n  host: \${no good}\nlog:\n  level: "$\${X}"\n`
    const found = refused(() => load(text))
    expect(problemAt(found, 'server.port')).toBe(
      `ripstop.yaml:2:9: needs the environment variable NOPE, which is not set; set it or write \${NOPE:-default}`,
    )
    expect(problemAt(found, 'server.host')).toContain('ripstop.yaml:3:9: has a variable that cannot be read')
    expect(problemAt(found, 'log.level')).toContain('is not one of the choices')
    expect(found.problems).toHaveLength(3)
  })

  it('a text that was written as a text in the file stays one', () => {
    expect(
      problemAt(
        refused(() => load('server: { port: "80" }')),
        'server.port',
      ),
    ).toContain('is the wrong kind of value')
  })
})
