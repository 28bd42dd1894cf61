import { describe, expect, test } from 'vitest'
import type { Guarantee, SystemLink } from '../model/graph.ts'
import type { ComposeService, Configuration } from '../repository/configuration.ts'
import { blastRadii } from './blast-radius.ts'
import { buildGraph } from './build.ts'

const loc = { file: 'compose.yml', line: 3, endLine: 3 }

/** What the graph reads of a service. */
function service(name: string, more: object = {}): ComposeService {
  return {
    name,
    loc,
    image: undefined,
    build: undefined,
    command: undefined,
    dependsOn: new Map(),
    healthcheck: undefined,
    restart: undefined,
    environment: new Map(),
    envFiles: [],
    ports: [],
    volumes: [],
    profiles: [],
    replicas: 1,
    hasLimits: false,
    ...more,
  } as unknown as ComposeService
}

function configurationOf(...services: readonly ComposeService[]): Configuration {
  const byName = new Map(services.map((one) => [one.name, one]))
  return {
    compose: [{ file: 'compose.yml', services: byName }] as unknown as Configuration['compose'],
    kubernetes: [],
    dockerfiles: [],
    envFiles: new Map(),
    manifests: [],
    schemas: [],
    openapi: [],
  }
}

function link(from: string, to: string, more: Partial<SystemLink> = {}): SystemLink {
  return { name: `${from} -> ${to}`, from, to, kind: 'http', need: 'hard', sites: [loc], guarantees: [], ...more }
}

const component = (name: string) =>
  ({ name, kind: 'service', folder: undefined, image: undefined, replicas: 1, evidence: [] }) as const
const radius = (name: string, names: readonly string[], ...links: readonly SystemLink[]) =>
  blastRadii({ components: names.map(component), links }).find((one) => one.component === name)

describe('the graph', () => {
  test('WA9: components come with their kind and place, links from what is declared and from addresses; a name that leads nowhere makes none', () => {
    const environment = new Map([
      ['DATABASE_URL', { value: 'postgresql+asyncpg://u:p@db:5432/x', raw: '', loc }],
      ['OTHER', { value: 'http://nowhere:80', raw: '', loc }],
      ['SELF', { value: 'http://api:80', raw: '', loc }],
    ])
    const dependsOn = new Map([['db', { value: 'service_healthy', loc }] as const])
    const { components, links } = buildGraph(
      configurationOf(
        service('api', { environment, dependsOn, build: { context: { value: './api', loc }, dockerfile: undefined } }),
        service('db', { image: { value: 'postgres:16', loc } }),
      ),
    )
    expect(components.map(({ name, kind, folder }) => [name, kind, folder])).toEqual([
      ['api', 'service', './api'],
      ['db', 'database', undefined],
    ])
    expect(links).toEqual([
      { name: 'api -> db', from: 'api', to: 'db', kind: 'postgres', need: 'hard', sites: [loc, loc], guarantees: [] },
    ])
    expect(
      [...components, ...links.map(({ sites }) => ({ evidence: sites }))].every(({ evidence }) => evidence.length > 0),
    ).toBe(true)
  })

  test('WA10: failure goes back over links that nothing holds, and over those only', () => {
    const held = (state: Guarantee['state']): SystemLink =>
      link('page', 'api', { guarantees: [{ kind: 'fallback', state, evidence: [] }] })
    const names = ['page', 'api', 'db', 'log']
    const toDb = link('api', 'db')
    expect(radius('db', names, toDb, link('page', 'api'))?.takesDown).toEqual(['api', 'page'])
    expect(radius('db', names, toDb, held('present'))?.takesDown).toEqual(['api'])
    expect(radius('db', names, toDb, held('unwired'))?.takesDown).toEqual(['api', 'page'])
    expect(radius('log', names, link('api', 'log', { need: 'soft' }))?.takesDown).toEqual([])
    expect(radius('db', names, link('api', 'db', { need: 'unknown' }))).toMatchObject({ isAssumed: true })
    expect(radius('db', names, toDb)).toMatchObject({ isAssumed: false })
  })

  test('WA11: circles end, and nobody is in their own radius', () => {
    const circle = [link('a', 'b'), link('b', 'c'), link('c', 'a')]
    expect(radius('a', ['a', 'b', 'c'], ...circle)?.takesDown).toEqual(['b', 'c'])
  })
})
