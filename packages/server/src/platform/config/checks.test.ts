import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { stringify } from 'yaml'
import { RESERVED_PAGES, RESERVED_PATHS } from './checks.ts'
import { load, MASTER_KEY, ORDERS, problemAt, type Refused, refused } from './fixtures.ts'

const STRONG = 'correct-horse-battery'

function routes(...list: readonly Record<string, unknown>[]): Record<string, unknown> {
  return { upstreams: ORDERS, routes: list.map((route) => ({ upstream: 'orders', ...route })) }
}

const refusedTree = (tree: unknown, env: Record<string, string> = {}): Refused =>
  refused(() => load(stringify(tree), env))

describe('what is unsafe to run', () => {
  it('CG1: M7: production reports open access, a wildcard origin and a weak password together', () => {
    const found = refusedTree(
      { access: { mode: 'open' } },
      {
        NODE_ENV: 'production',
        ALLOWED_ORIGINS: 'https://ok.example,*',
        DATABASE_URL: 'postgres://postgres:postgres@h/db',
      },
    )
    expect(found.problems.map(({ where, path, wrong }) => `${where} ${path} ${wrong}`)).toEqual([
      'ripstop.yaml:1:1 secrets.master_key is missing, which production refuses',
      'ripstop.yaml:2:9 access.mode is open, which production refuses',
      'ALLOWED_ORIGINS server.allowed_origins[1] is a wildcard, which production refuses',
      'DATABASE_URL postgres.url has a missing, default or weak password, which production refuses',
    ])
    expect(
      load('access: { mode: open }', { ALLOWED_ORIGINS: '*', DATABASE_URL: 'postgres://postgres:postgres@h/db' }),
    ).toBeDefined()
  })

  it('CG1: the guards speak while other fields are wrong', () => {
    const tree = {
      server: { port: 'x', host: '0.0.0.0', environment: 'production', unknown: 1 },
      access: { mode: 'open' },
    }
    expect(refusedTree(tree).paths).toEqual([
      'secrets.master_key',
      'server.port',
      'server.unknown',
      'access.mode',
      'access.mode',
    ])
  })

  it('CG1: default and weak passwords are known, and strong ones are let through', () => {
    const production =
      (password: string, user = 'app') =>
      () =>
        load(undefined, {
          RIPSTOP_ENV: 'production',
          RIPSTOP_MASTER_KEY: MASTER_KEY,
          DATABASE_URL: `postgres://${user}${password}@h/db?sslmode=require`,
        })
    const weak = ['', ':', ':postgres', ':password', ':Password123!', ':changeme', ':CHANGE_ME', ':short1', ':hunter2']
    for (const password of weak) {
      expect(refused(production(password)).paths, password).toEqual(['postgres.url'])
    }
    expect(refused(production(':applications', 'applications')).paths).toEqual(['postgres.url'])
    expect(production(`:${STRONG}`)().warnings).toEqual([])
  })

  it('CG2: M7: open access on an address that others can reach is refused in any environment', () => {
    for (const host of ['0.0.0.0', '::', '192.168.1.5', 'mesh.example', '::ffff:10.0.0.1']) {
      const found = refusedTree({ server: { host }, access: { mode: 'open' } })
      expect(problemAt(found, 'access.mode'), host).toContain('open bind')
    }
    for (const host of ['127.0.0.1', '127.8.9.1', '::1', 'localhost']) {
      expect(load(stringify({ server: { host }, access: { mode: 'open' } })).access.mode, host).toBe('open')
    }
    expect(load(undefined, { HOST: '0.0.0.0' }).access.mode).toBe('keys')
  })

  it('CG2: M7: trust in every proxy is refused, however it is written', () => {
    for (const all of ['all', '*', 'true', '0.0.0.0/0', '::/0', '10.0.0.0/0', '10.0.0.0/8,0.0.0.0/0']) {
      expect(
        problemAt(
          refused(() => load(undefined, { TRUST_PROXY: all })),
          'server.trust_proxy',
        ),
        all,
      ).toContain('forge')
    }
    expect(problemAt(refusedTree({ server: { trust_proxy: ['all'] } }), 'server.trust_proxy')).toContain('forge')
  })

  it('CG4: M7: production needs a master key; development makes its own', () => {
    const found = refused(() => load(undefined, { RIPSTOP_ENV: 'production' }))
    expect(found.paths).toEqual(['secrets.master_key'])
    expect(found.problems[0]?.instead).toContain('openssl rand -base64 32')
    const wrong = refused(() => load(undefined, { RIPSTOP_ENV: 'production', RIPSTOP_MASTER_KEY: 'short' }))
    expect(wrong.problems.map(({ where, wrong }) => `${where} ${wrong}`)).toEqual([
      'RIPSTOP_MASTER_KEY is not 32 bytes in base64',
    ])
    expect(load(undefined).secrets.masterKey).toEqual([])
    const keys = load(undefined, { RIPSTOP_ENV: 'production', RIPSTOP_MASTER_KEY: MASTER_KEY }).secrets.masterKey
    expect(keys.map((key) => key.reveal())).toEqual([MASTER_KEY])
  })

  it('an old secret can not sign as long as a new one', () => {
    const found = refusedTree({ webhooks: { secret_max_age_days: 1, secret_overlap_hours: 24 } })
    expect(found.paths).toEqual(['webhooks.secret_overlap_hours'])
    expect(load(stringify({ webhooks: { secret_max_age_days: 2 } })).webhooks.secretOverlapHours).toBe(24)
  })

  it('sessions can be kept in Redis only where there is one', () => {
    const found = refusedTree({ sessions: { store: 'redis' } })
    expect(problemAt(found, 'sessions.store')).toContain('redis.url is not set')
    expect(load('sessions: { store: redis }', { REDIS_URL: 'redis://h' }).sessions.store).toBe('redis')
    expect(load(undefined).sessions.store).toBe('auto')
  })

  it('plain http origins and Postgres over a network without TLS are warnings in production', () => {
    const { warnings } = load('server:\n  allowed_origins: [http://a.example]\n', {
      RIPSTOP_ENV: 'production',
      RIPSTOP_MASTER_KEY: MASTER_KEY,
      DATABASE_URL: `postgres://app:${STRONG}@127.0.0.1,db.example/x`,
    })
    expect(warnings).toEqual([
      'ripstop.yaml:2:21 server.allowed_origins[0]: is plain http in production: what it sends can be read and changed on the way; use https',
      'DATABASE_URL postgres.url: crosses a network without TLS in production; add ?sslmode=verify-full',
    ])
  })
})

describe('routes', () => {
  it('CG3: a route can not take what the control API owns, nor anything below it, nor exactly a page', () => {
    const below = ['/v1/mesh/graph', '/health/readiness', '/docs/', '/v1/delivery/check', '/webhooks/']
    for (const path of [...RESERVED_PATHS, ...RESERVED_PAGES, ...below]) {
      expect(problemAt(refusedTree(routes({ path })), 'routes[0].path'), path).toContain('own')
    }
    const free = [
      '/v1',
      '/v1/meshes',
      '/v1/orders',
      '/healthy',
      '/readiness',
      '/api/metrics',
      '/webhooks/shop',
      '/webhooks-in',
    ]
    expect(load(stringify(routes(...free.map((path) => ({ path }))))).routes.map(({ path }) => path)).toEqual(free)
  })

  it('CG3: they are the paths of the published API, all of them and no other', () => {
    const document = readFileSync(new URL('../../../../../docs/openapi.json', import.meta.url), 'utf8')
    const paths = Object.keys((JSON.parse(document) as { paths: object }).paths)
    expect(paths.length).toBeGreaterThan(5)
    const isOf = (path: string, own: string) => path === own || path.startsWith(`${own}/`)
    const others = paths.filter((path) => !RESERVED_PATHS.some((own) => isOf(path, own)))
    expect(others.sort(), 'those that stand alone').toEqual([...RESERVED_PAGES])
    const idle = RESERVED_PATHS.filter((own) => !paths.some((path) => isOf(path, own)))
    expect(idle, 'that of WebSocket, and those of nothing').toEqual(['/ws'])
  })

  it('each path is taken once, closing slash or not', () => {
    const found = refusedTree(routes({ path: '/a' }, { path: '/b' }, { path: '/a/' }))
    expect(problemAt(found, 'routes[2].path')).toContain('is the path of routes[0] too')
    expect(found.problems).toHaveLength(1)
  })

  it('a path that two readers could understand differently is refused', () => {
    for (const path of ['a', '/a//b', '/a/../b', '/a/.', '/%61', '/a?b', '/a b', '/ä', '/a\\b', '']) {
      expect(refusedTree(routes({ path })).paths, path).toEqual(['routes[0].path'])
    }
  })

  it('names an existing upstream, with a hint', () => {
    expect(problemAt(refusedTree(routes({ path: '/a', upstream: 'order' })), 'routes[0].upstream')).toBe(
      'ripstop.yaml:5:15: names no upstream of this file; did you mean orders?',
    )
    expect(problemAt(refusedTree({ routes: [{ path: '/a', upstream: 'x' }] }), 'routes[0].upstream')).toContain(
      'add it under',
    )
    const inherited = refusedTree({ routes: [{ path: '/a', upstream: 'constructor' }] })
    expect(inherited.paths).toEqual(['routes[0].upstream'])
  })

  it('settings that contradict each other are named', () => {
    const found = refusedTree(
      routes(
        { path: '/a', deadline_ms: 6_000 },
        { path: '/b', access: 'open', scopes: ['orders:read'] },
        { path: '/c', websocket: true, methods: ['POST'] },
      ),
    )
    expect(found.paths).toEqual(['routes[0].deadline_ms', 'routes[1].scopes', 'routes[2].methods'])
  })
})

describe('upstreams', () => {
  it('times that contradict each other are named', () => {
    const found = refusedTree({
      postgres: { wait_ms: 3_000 },
      upstreams: {
        a: { url: 'http://a', deadline_ms: 500, retry: { cap_ms: 500 } },
        b: { url: 'http://b', retry: { base_ms: 200, cap_ms: 100 }, breaker: { open_ms: 60_000 } },
      },
    })
    expect(found.paths).toEqual([
      'postgres.wait_ms',
      'upstreams.a.retry.cap_ms',
      'upstreams.b.retry.base_ms',
      'upstreams.b.breaker.open_ms',
    ])
  })

  it('one that is the mesh itself is refused: calls would go round for ever', () => {
    expect(refusedTree({ upstreams: { me: { url: 'http://localhost:3000' } } }).paths).toEqual(['upstreams.me.url'])
    expect(refused(() => load('upstreams: { me: { url: http://127.0.0.1:99 } }', { PORT: '99' })).paths).toEqual([
      'upstreams.me.url',
    ])
  })

  it('there are at most 256', () => {
    const many = Object.fromEntries(Array.from({ length: 257 }, (_, index) => [`u${index}`, { url: 'http://a' }]))
    expect(problemAt(refusedTree({ upstreams: many }), 'upstreams')).toContain('at most 256')
  })
})
