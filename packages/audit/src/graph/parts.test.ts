import { describe, expect, test } from 'vitest'
import type { Component, SystemGraph } from '../model/graph.ts'
import { repositoryOf } from '../repository/repository.fixture.ts'
import { buildGraph } from './build.ts'
import { membershipOf } from './membership.ts'

function graphOf(texts: Readonly<Record<string, string>>): SystemGraph {
  const { configuration, files } = repositoryOf(texts)
  return buildGraph(configuration, files)
}

function named(graph: SystemGraph, name: string): Component | undefined {
  return graph.components.find((component) => component.name === name)
}

describe('parts of a system', () => {
  test('GR1: a component is what the first deployment says that has it; tests are looked at only where there is nothing else', () => {
    const graph = graphOf({
      'compose.yml': 'services:\n  api: { build: ./api, restart: always }\n',
      'compose.prod.yml': 'services:\n  api: { image: api }\n  worker: { image: worker }\n',
      'compose.test.yml': 'services:\n  fake: { image: fake }\n',
      'api/main.py': '',
    })
    expect(graph.components.map(({ name }) => name).sort()).toEqual(['api', 'worker'])
    expect(named(graph, 'api')).toMatchObject({ image: undefined, sources: ['api'] })
    expect(named(graph, 'api')?.evidence).toHaveLength(2)
    expect(graphOf({ 'compose.test.yml': 'services:\n  fake: { image: fake }\n' }).components).toHaveLength(1)
  })

  test('GR2: what a service copies or starts is its own; the rest of a folder that several are built from is the first one of them, of a whole repository nobody', () => {
    const graph = graphOf({
      'compose.yml': `services:
  api: { build: { context: ., dockerfile: api.Dockerfile } }
  web: { build: { context: ., dockerfile: web.Dockerfile } }
  jobs: { build: ./tasks, command: python -m tasks.run }
  mail: { build: ./tasks, command: node mail.mjs }
`,
      'api.Dockerfile': 'FROM python:3\nCOPY server ./server\nCMD ["uvicorn", "server.main:app"]\n',
      'web.Dockerfile': 'FROM node:24\nCOPY --from=x /y /z\nCOPY pages/ .\n',
      'server/main.py': '',
      'pages/index.ts': '',
      'shared/a.py': '',
      'tasks/Dockerfile': 'FROM node:24\nCOPY . .\n',
      'tasks/mail.mjs': '',
      'tasks/other.mjs': '',
    })
    const { ofFile } = membershipOf(graph.components)
    expect(
      ['server/main.py', 'pages/index.ts', 'shared/a.py', 'tasks/mail.mjs', 'tasks/other.mjs'].map(ofFile),
    ).toEqual(['api', 'web', undefined, 'mail', 'jobs'])
  })

  test('GR3: a file belongs to the longest source that holds it, a place in a deployment to what is described there', () => {
    const texts = {
      'compose.yml': 'services:\n  api: { build: ./api }\n  cache:\n    image: redis:7\n    restart: always\n',
      'api/a.ts': '',
    }
    const { ofFile, ofPlace } = membershipOf(graphOf(texts).components)
    expect([ofFile('api/a.ts'), ofFile('apiary/a.ts'), ofFile('other.ts')]).toEqual(['api', undefined, undefined])
    expect(ofPlace({ file: 'compose.yml', line: 5, endLine: 5 })).toBe('cache')
    expect(ofPlace({ file: 'compose.yml', line: 1, endLine: 1 })).toBeUndefined()
  })

  test('GR11: compose files of one folder are one system, and those that share a service of their own; a name of two systems is two components', () => {
    const graph = graphOf({
      'compose.yml': 'services:\n  api: { build: ./api, depends_on: [db] }\n  db: { image: postgres:16 }\n',
      'deploy/compose.yml': 'services:\n  api: { build: ../api }\n  db: { image: postgres:15 }\n',
      'other/compose.yml': 'services:\n  site: { build: ., depends_on: [db] }\n  db: { image: mysql:8 }\n',
    })
    expect(graph.components.map(({ name }) => name).sort()).toEqual(['api', 'db', 'db (other)', 'site'])
    expect(graph.links.map(({ name, kind }) => [name, kind])).toEqual([
      ['api -> db', 'postgres'],
      ['site -> db (other)', 'mysql'],
    ])
  })

  test('WA9: workloads of Kubernetes have their folder by name, hosts of their environment, and who publishes them', () => {
    const graph = graphOf({
      'k8s/all.yaml': `apiVersion: apps/v1
kind: Deployment
metadata: { name: shop }
spec:
  replicas: 3
  template:
    spec:
      containers:
        - image: registry/shop:1
          env: [{ name: CACHE_ADDR, value: 'cache:6379' }, { name: NOTHING, value: 'nobody:1' }]
---
apiVersion: apps/v1
kind: StatefulSet
metadata: { name: cache }
spec: { template: { spec: { containers: [{ image: 'redis:7' }] } } }
---
apiVersion: v1
kind: Service
metadata: { name: shop }
spec: { type: LoadBalancer }
`,
      'src/shop/package.json': '{}',
    })
    expect(named(graph, 'shop')).toMatchObject({ sources: ['src/shop'], replicas: 3, isPublished: true })
    expect(named(graph, 'cache')).toMatchObject({ kind: 'cache', sources: [] })
    expect(graph.links.map(({ name, kind, need }) => [name, kind, need])).toEqual([
      ['shop -> cache', 'redis', 'unknown'],
    ])
  })

  test('WA9: where nothing is deployed, folders that could run are components; beside deployments, libraries are none', () => {
    const manifest = (start: string): string => JSON.stringify({ scripts: { start } })
    const texts = {
      'apps/a/package.json': manifest('node a.js'),
      'packages/b/package.json': manifest('tsc --watch'),
      'libs/c/package.json': manifest('node c.js'),
      'd/requirements.txt': 'flask\n',
      'd/app.py': '',
    }
    expect(graphOf(texts).components.map(({ name }) => name)).toEqual(['apps/a', 'd'])
    expect(graphOf({ 'package.json': '{}' }).components.map(({ name }) => name)).toEqual(['repository'])
  })
})
