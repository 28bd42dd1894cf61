import { describe, expect, test } from 'vitest'
import type { Finding } from '../model/finding.ts'
import type { SystemGraph, SystemLink } from '../model/graph.ts'
import { repositoryOf } from '../repository/repository.fixture.ts'
import { RULES } from '../rules/index.ts'
import { claimedRules } from './claims.ts'
import { type Completed, completeGraph } from './complete.ts'

const COMPOSE = `services:
  api:
    build: ./api
    ports: ['80:80']
    environment: { BILLING_URL: 'http://billing:80', REDIS_URL: 'redis://cache:6379' }
    depends_on: { db: { condition: service_healthy } }
  billing: { build: ./billing }
  cache: { image: 'redis:7' }
  db: { image: 'postgres:16' }
`

function complete(
  api: string,
  findings: readonly Finding[] = [],
  more: Readonly<Record<string, string>> = {},
): Completed {
  return completeGraph(repositoryOf({ 'compose.yml': COMPOSE, 'api/main.ts': api, ...more }), findings)
}

function linkOf({ graph }: { readonly graph: SystemGraph }, name: string): SystemLink | undefined {
  return graph.links.find((link) => link.name === name)
}

function stateOf(link: SystemLink | undefined, kind: string): string | undefined {
  return link?.guarantees.find((one) => one.kind === kind)?.state
}

function finding(rule: string, file: string, line: number, more: Partial<Finding> = {}): Finding {
  return {
    fingerprint: '0'.repeat(24),
    rule,
    severity: 'high',
    tier: 'strong',
    status: 'suspected',
    title: '',
    symptom: '',
    rootCause: '',
    component: undefined,
    link: undefined,
    evidence: [{ provenance: 'static', loc: { file, line, endLine: line }, what: '' }],
    reproduction: undefined,
    remedies: [],
    owner: undefined,
    suppressed: undefined,
    ...more,
  }
}

const call = (url: string, options = ''): string => `axios.get(${url}${options === '' ? '' : `, ${options}`})`
const withAxios = (body: string): string => `import axios from 'axios'\nexport async function ask() {\n${body}\n}\n`

describe('links from code', () => {
  test('GR4: a call leads by host, by variable, by the kind of its library, or outside; what has no such name makes no link', () => {
    const { graph } = complete(
      withAxios(
        [
          `await ${call("'http://billing/x'")}`,
          `await ${call("'https://api.pay.io/x'")}`,
          `await ${call("'http://nobody/x'")}`,
          `await ${call("'https://example.com/x'")}`,
        ].join('\n'),
      ),
      [],
      {
        'api/store.ts':
          "import { Pool } from 'pg'\nconst pool = new Pool()\nexport const read = () => pool.query('select 1')\n",
      },
    )
    expect(graph.links.map(({ name }) => name).sort()).toEqual([
      'api -> api.pay.io',
      'api -> billing',
      'api -> cache',
      'api -> db',
    ])
    expect(graph.components.find(({ name }) => name === 'api.pay.io')?.kind).toBe('external')
    expect(linkOf({ graph }, 'api -> db')?.sites.length).toBeGreaterThan(0)
  })

  test('GR5, GR8: the need is hard where a call is not caught, soft only where something is returned instead of every one', () => {
    const need = (body: string): string | undefined => linkOf(complete(withAxios(body)), 'api -> billing')?.need
    const asked = `await ${call("'http://billing/x'")}`
    const tried = (handler: string): string => `try { ${asked} } catch (error) { ${handler} }`
    expect(need(asked)).toBe('hard')
    expect(need(tried('return []'))).toBe('soft')
    expect(need(`${asked}.catch(() => [])`)).toBe('soft')
    expect(need(tried('console.log(error)'))).toBe('unknown')
    expect(need(tried('throw error'))).toBe('hard')
    expect(need(tried('response.status(503)'))).toBe('hard')
    expect(need(`${tried('return []')}\n${asked}`)).toBe('hard')
    expect(need('return 1')).toBe('unknown')
    const swallowed = linkOf(complete(withAxios(tried('console.log(error)'))), 'api -> billing')
    expect(swallowed?.needBecause).toContain('every call of it is caught')
    const cached = "import Redis from 'ioredis'\nconst redis = new Redis(process.env.REDIS_URL)\n"
    const read = 'export async function read() { try { await redis.get("x") } catch { console.log(1) } }\n'
    expect(linkOf(complete(cached + read), 'api -> cache')?.need).toBe('soft')
  })

  test('GR5: what is not caught in its function may be caught by all who call it', () => {
    const inner = 'async function inner() { return axios.get("http://billing/x") }\n'
    const outer = (body: string): string =>
      `import axios from 'axios'\n${inner}export async function outer() { ${body} }\n`
    const need = (text: string): string | undefined => linkOf(complete(text), 'api -> billing')?.need
    const caught = 'try { await inner() } catch { return 1 }'
    expect(need(outer(caught))).toBe('soft')
    expect(need(outer(`${caught}\nawait inner()`))).toBe('hard')
  })

  test('GR6: a deadline is present where every call has one, absent where one has none, and else not claimed', () => {
    const state = (...options: readonly string[]): string | undefined => {
      const calls = options.map((one) => `await ${call("'http://billing/x'", one)}`)
      return stateOf(linkOf(complete(withAxios(calls.join('\n'))), 'api -> billing'), 'deadline')
    }
    expect([state('{ timeout: 500 }'), state('{ timeout: 500 }', ''), state('{ timeout: 500 }', 'options')]).toEqual([
      'present',
      'absent',
      undefined,
    ])
  })

  test('GR7: a guard around some calls of a link is bypassed; a retry is a matter of each call', () => {
    const link = (body: string): SystemLink | undefined => linkOf(complete(withAxios(body)), 'api -> billing')
    const plainCall = `await ${call("'http://billing/x'")}`
    const guarded = (guard: string): string => `await ${guard}(() => ${call("'http://billing/x'")})`
    expect(stateOf(link(guarded('breaker.fire')), 'breaker')).toBe('present')
    expect(stateOf(link(`${guarded('breaker.fire')}\n${plainCall}`), 'breaker')).toBe('bypassed')
    expect(stateOf(link(`${guarded('withRetry')}\n${plainCall}`), 'retry')).toBe('present')
    expect(stateOf(link(plainCall), 'breaker')).toBeUndefined()
  })
})

describe('findings in the graph', () => {
  const ask = withAxios(`await ${call("'http://billing/x'")}`)

  test('GR9, GR10: a strong finding changes what a link or a component promises, the worst holds; one for review or suppressed changes nothing', () => {
    const strong = finding('retry-no-jitter', 'api/main.ts', 3)
    const completed = complete(ask, [strong, finding('missing-graceful-shutdown', 'api/other.ts', 1)])
    expect(completed.findings.map(({ component, link }) => [component, link])).toEqual([
      ['api', 'api -> billing'],
      ['api', undefined],
    ])
    expect(stateOf(linkOf(completed, 'api -> billing'), 'retry')).toBe('ineffective')
    expect(completed.graph.components[0]?.guarantees.find(({ kind }) => kind === 'shutdown')?.state).toBe('absent')
    for (const weak of [{ tier: 'review' as const }, { suppressed: { reason: 'x', until: undefined } }])
      expect(stateOf(linkOf(complete(ask, [{ ...strong, ...weak }]), 'api -> billing'), 'retry')).toBeUndefined()
    const both = complete(withAxios(`await ${call("'http://billing/x'", '{ timeout: 5 }')}`), [
      finding('unbounded-wait', 'api/main.ts', 3),
    ])
    expect(stateOf(linkOf(both, 'api -> billing'), 'deadline')).toBe('absent')
  })

  test('GR10: what a rule says of its component is kept where there is such a component', () => {
    const said = complete(ask, [
      finding('x', 'compose.yml', 7, { component: 'cache' }),
      finding('x', 'compose.yml', 7, { component: 'nobody' }),
      finding('x', 'nowhere.ts', 1),
    ])
    expect(said.findings.map(({ component }) => component)).toEqual(['cache', 'billing', undefined])
  })

  test('GR14: hearing a signal is a shutdown; a limit before some routes is bypassed', () => {
    const state = (text: string, kind: string): string | undefined =>
      complete(text).graph.components[0]?.guarantees.find((one) => one.kind === kind)?.state
    const app = "import express from 'express'\nconst app = express()\n"
    expect(state("process.on('SIGTERM', () => {})\n", 'shutdown')).toBe('present')
    expect(state(`${app}app.get('/a', limiter, f)\napp.get('/b', g)\n`, 'rate')).toBe('bypassed')
    expect(state(`${app}app.use(rateLimit({}))\napp.get('/b', g)\n`, 'rate')).toBe('present')
    expect(state(`${app}app.get('/b', g)\n`, 'rate')).toBeUndefined()
  })

  test('every rule that is said to be about a guarantee exists', () => {
    const ids = new Set(RULES.map(({ meta }) => meta.id))
    expect(claimedRules().filter((id) => !ids.has(id))).toEqual([])
  })
})

describe('start order', () => {
  test('GR13: waves follow what is waited for; circles, weak waits and what is used unwaited are named', () => {
    const start = complete('export const a = 1\n').start
    expect(start).toMatchObject({ waves: [['db'], ['api']], circle: [] })
    // The check of health that it waits for is not there.
    expect(start.weak).toEqual(['api -> db'])
    expect(start.unordered).toEqual(['api -> billing', 'api -> cache'])
    const circle =
      'services:\n  a: { image: x, depends_on: [b] }\n  b: { image: x, depends_on: [a] }\n  c: { image: x, depends_on: [a] }\n'
    const round = completeGraph(repositoryOf({ 'compose.yml': circle }), []).start
    expect(round).toMatchObject({ waves: [], circle: ['a', 'b', 'c'] })
  })
})
