import { expect, test } from 'vitest'
import { repositoryOf } from '../../repository/repository.fixture.ts'
import { configurationRules } from './index.ts'

/** `tier line` of the first evidence of each discovery of a rule. */
function found(id: string, texts: Record<string, string>): string[] {
  const rule = configurationRules.find(({ meta }) => meta.id === id)
  expect(rule).toBeDefined()
  return [...(rule?.run(repositoryOf(texts)) ?? [])].map(({ tier, evidence }) => `${tier} ${evidence[0]?.loc?.line}`)
}

const compose = (services: string, more: Record<string, string> = {}) => ({
  'compose.yml': `services:\n${services}`,
  ...more,
})

test('RX30: what development shares with the standard file is as strong as there, and fragments of services are no services', () => {
  const texts = {
    'docker-compose.dev.yml': 'services:\n  a: {environment: {X: "1"}}\n  gone: {environment: {X: "1"}}\n',
    'docker-compose.yml': 'services:\n  a: {image: "a:1"}\n',
  }
  expect(found('compose-no-restart', texts)).toEqual(['strong 2'])
  const inFolder = { 'deploy/dev/compose.yml': 'services:\n  a: {image: "a:1"}\n' }
  expect(found('compose-no-restart', inFolder)).toEqual(['review 2'])
})

test('RX15: a file that defines most of the same services is an alternative, not a part', () => {
  const services = 'services:\n  a: {image: "a:1", environment: {B_URL: "http://b:80"}}\n  c: {image: "c:1"}\n'
  const texts = { 'compose.yml': services, 'compose.prod.yml': `${services}  b: {image: "b:1"}\n` }
  expect(found('compose-undefined-service-ref', texts)).toEqual(['strong 2'])
  const parts = { 'compose.yml': services, 'compose.more.yml': 'services:\n  b: {image: "b:1"}\n' }
  expect(found('compose-undefined-service-ref', parts)).toEqual(['review 2'])
})

test.each([
  [
    'compose-depends-no-health',
    compose('  a: {image: "a:1", depends_on: [c]}\n  b: {image: "a:1", depends_on: [c]}\n  c: {image: "c:1"}\n'),
  ],
  [
    'compose-db-port-exposed',
    compose('  a: {image: "redis:7", ports: ["1:6379"]}\n  b: {image: "mysql:8", ports: ["2:3306"]}\n'),
  ],
  [
    'compose-healthcheck-binary-missing',
    {
      'a/Dockerfile': 'FROM node:22-alpine\nHEALTHCHECK CMD curl x',
      'b/Dockerfile': 'FROM node:22-alpine\nHEALTHCHECK CMD curl y',
    },
  ],
  [
    'dockerfile-npm-ci-no-lockfile',
    { 'a/Dockerfile': 'FROM node:22\nCOPY . .\nRUN npm ci', 'b/Dockerfile': 'FROM node:22\nCOPY . .\nRUN npm ci' },
  ],
  [
    'kubernetes-single-replica',
    Object.fromEntries(
      ['a', 'b'].map((name) => [
        `k8s/${name}.yaml`,
        `apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: ${name}}\nspec: {replicas: 1}\n`,
      ]),
    ),
  ],
])('RX31: two places of %s have one cause', (id, texts) => {
  const rule = configurationRules.find(({ meta }) => meta.id === id)
  const causes = [...(rule?.run(repositoryOf(texts)) ?? [])].map(({ cause }) => cause)
  expect(causes).toHaveLength(2)
  expect(causes[0]).toBeDefined()
  expect(new Set(causes).size).toBe(1)
})

test('QJ22: a container whose image imports data is a job', () => {
  const built = (last: string): Record<string, string> => ({
    ...compose('  a: {build: ./a}\n'),
    'a/Dockerfile': `FROM mongo:7\nCOPY . .\nCMD ${last}`,
  })
  expect(found('compose-no-restart', built('mongoimport --host db --file /items.json'))).toEqual([])
  expect(found('compose-no-restart', built('mongod --replSet a'))).toEqual(['strong 2'])
})

test('QJ23: what evicts only keys that expire anyway is silent, unless a queue lives there', () => {
  const texts = compose(
    '  r: {image: "redis:7", command: "redis-server --appendonly yes --maxmemory 1gb --maxmemory-policy volatile-lru"}\n',
  )
  expect(found('redis-eviction-on-primary', texts)).toEqual([])
  const queue = { ...texts, 'package.json': '{"dependencies": {"bull": "4"}}' }
  expect(found('redis-eviction-on-primary', queue)).toEqual(['strong 2'])
})

test('QJ24: localhost is the container itself, where another service has the port', () => {
  const services = (name: string, own: string, environment: string): Record<string, string> =>
    compose(
      `  ${name}: {image: "a:1", ports: [${own}], environment: {${environment}}}\n  b: {image: "b:1", ports: ["3000:3000"]}\n`,
    )
  const of = (texts: Record<string, string>): string[] => found('compose-undefined-service-ref', texts)
  expect(of(services('a', '"80:80"', 'B_SERVICE_URL: "http://localhost:3000"'))).toEqual(['strong 2'])
  expect(of(services('a', '"80:80"', 'STORE: "redis://127.0.0.1:3000/0"'))).toEqual(['strong 2'])
  expect(of(services('a', '"80:80"', 'B_SERVICE_URL: "http://localhost:4000"'))).toEqual([])
  expect(of(services('a', '"80:80"', 'SITE_URL: "http://localhost:3000"'))).toEqual([])
  expect(of(services('a', '"80:80", "3000"', 'B_SERVICE_URL: "http://localhost:3000"'))).toEqual([])
  expect(of(services('frontend', '"80:80"', 'B_SERVICE_URL: "http://localhost:3000"'))).toEqual([])
  expect(of(services('a', '', 'B_SERVICE_URL: "http://localhost:3000"'))).toEqual([])
})
