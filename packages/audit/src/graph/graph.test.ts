import { describe, expect, test } from 'vitest'
import type { Guarantee, SystemLink } from '../model/graph.ts'
import { repositoryOf } from '../repository/repository.fixture.ts'
import { blastRadii } from './blast-radius.ts'
import { buildGraph } from './build.ts'
import { component, link } from './graph.fixture.ts'

const radius = (name: string, names: readonly string[], ...links: readonly SystemLink[]) =>
  blastRadii({ components: names.map((name) => component(name)), links }).find((one) => one.component === name)

describe('the graph', () => {
  test('WA9: components come with their kind and place, links from what is declared and from addresses; a name that leads nowhere makes none', () => {
    const { configuration, files } = repositoryOf({
      'compose.yml': `services:
  api:
    build: ./api
    environment:
      DATABASE_URL: postgresql+asyncpg://u:p@db:5432/x
      OTHER: http://nowhere:80
      SELF: http://api:80
    depends_on: { db: { condition: service_healthy } }
  db: { image: 'postgres:16', healthcheck: { test: pg_isready } }
`,
      'api/main.ts': '',
    })
    const { components, links } = buildGraph(configuration, files)
    expect(components.map(({ name, kind, sources }) => [name, kind, sources])).toEqual([
      ['api', 'service', ['api']],
      ['db', 'database', []],
    ])
    expect(links).toMatchObject([{ name: 'api -> db', kind: 'postgres', need: 'hard', sites: [] }])
    expect(links[0]?.evidence.map(({ loc: place }) => place?.line)).toEqual([8, 5])
    expect(components.every(({ evidence }) => evidence[0]?.loc !== undefined)).toBe(true)
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
