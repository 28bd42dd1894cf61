import { describe, expect, test } from 'vitest'
import type { SystemGraph } from '../model/graph.ts'
import { blastRadii } from './blast-radius.ts'
import { component, link } from './graph.fixture.ts'
import { criticalPaths, entriesOfGraph, singlePoints } from './paths.ts'

const GRAPH: SystemGraph = {
  components: [
    component('web', { isPublished: true }),
    component('api'),
    component('log'),
    component('db', { kind: 'database', isPublished: true }),
    component('pair', { replicas: 2 }),
  ],
  links: [
    link('web', 'api'),
    link('api', 'web'),
    link('api', 'db', { need: 'unknown' }),
    link('api', 'log', { need: 'soft' }),
    link('web', 'pair'),
  ],
}

describe('critical paths', () => {
  test('GR12: they begin where the world enters, end where nothing more is needed, use no held link and pass nobody twice', () => {
    expect(entriesOfGraph(GRAPH).map(({ name }) => name)).toEqual(['web'])
    const { paths, isWhole } = criticalPaths(GRAPH)
    expect(paths).toEqual([
      { components: ['web', 'pair'], isAssumed: false },
      { components: ['web', 'api', 'db'], isAssumed: true },
    ])
    expect(isWhole).toBe(true)
  })

  test('GR12: a graph in which everybody needs everybody ends, and says that it was not told whole', () => {
    const names = Array.from({ length: 25 }, (_, index) => `s${index}`)
    const links = names.flatMap((from) => names.filter((to) => to !== from).map((to) => link(from, to)))
    const { paths, isWhole } = criticalPaths({
      components: names.map((name) => component(name, { isPublished: true })),
      links,
    })
    expect([paths.length, isWhole]).toEqual([12, false])
  })

  test('GR12: what runs once and takes others down is a single point, what runs twice is none', () => {
    expect(
      singlePoints(GRAPH, blastRadii(GRAPH))
        .map(({ component: name }) => name)
        .sort(),
    ).toEqual(['api', 'db', 'web'])
  })
})
