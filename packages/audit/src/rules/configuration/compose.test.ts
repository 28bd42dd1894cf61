import { expect, test } from 'vitest'
import { repositoryOf } from '../../repository/repository.fixture.ts'
import { configurationRules } from './index.ts'

/** `tier line` of the first evidence of each discovery of a rule. */
function found(id: string, texts: Record<string, string>): string[] {
  const rule = configurationRules.find(({ meta }) => meta.id === id)
  expect(rule).toBeDefined()
  return [...(rule?.run(repositoryOf(texts)) ?? [])].map(({ tier, evidence }) => `${tier} ${evidence[0]?.loc?.line}`)
}

const $ = (inside: string) => `\u0024{${inside}}`
const compose = (services: string, more: Record<string, string> = {}) => ({
  'compose.yml': `services:\n${services}`,
  ...more,
})

test('RX1: floating tags are reported at their line, digests, tags and what is built here are not', () => {
  const texts = compose(`  a:
    image: redis:latest
  b: {image: redis}
  c: {image: "redis:7"}
  d: {image: "redis@sha256:abc"}
  e: {image: own, build: .}
  f: {image: own}
  g: {image: "reg.io:5000/x/y:${$('TAG:-latest')}"}
  h: {image: "reg.io:5000/x/y"}
`)
  expect(found('compose-latest-tag', texts)).toEqual(['strong 3', 'strong 4', 'review 9', 'strong 10'])
  const moving = compose(`  a: {image: "x/y:latest-pg16"}
  b: {image: "nginx:alpine"}
  c: {image: "nginx:stable"}
  d: {image: "node:22-alpine"}
  e: {image: "own:latest", build: .}
  f: {image: "own:latest"}
  g: {image: "ghcr.io/me/own:latest", build: .}
`)
  expect(found('compose-latest-tag', moving)).toEqual(['strong 2', 'strong 3', 'strong 4', 'review 8'])
  const builtElsewhere = {
    'compose.yml': 'services: {a: {image: "own:latest"}}',
    'more/compose.yml': 'services: {a: {image: "own:latest", build: .}}',
  }
  expect(found('compose-latest-tag', builtElsewhere)).toEqual(['strong 1'])
  expect(found('compose-latest-tag', { 'docker-compose.test.yml': 'services: {a: {image: "x:latest"}}' })).toEqual([])
  expect(found('compose-latest-tag', { 'docker-compose.dev.yml': 'services: {a: {image: "x:latest"}}' })).toEqual([
    'review 1',
  ])
  const override = {
    'compose.yml': 'services: {a: {image: "a:1"}}',
    'compose.override.yml': 'services: {b: {image: b}}',
  }
  expect(found('compose-latest-tag', override)).toEqual(['review 1'])
})

test('RX2: a list of dependencies is reported once, the long form with health is not', () => {
  const texts = compose(`  a:
    image: a:1
    depends_on:
      - b
      - c
  b:
    image: b:1
    depends_on:
      c:
        condition: service_healthy
  c: {image: "c:1"}
`)
  expect(found('compose-depends-no-health', texts)).toEqual(['strong 4'])
  const waiting = (command: string) =>
    compose(
      `  a: {image: "a:1", depends_on: [c, d], command: "${command}"}\n  c: {image: "c:1"}\n  d: {image: "d:1"}\n`,
    )
  expect(found('compose-depends-no-health', waiting('./wait-for-it.sh c:80 -- ./wait-for-it.sh d:80 -- run'))).toEqual(
    [],
  )
  expect(found('compose-depends-no-health', waiting('./wait-for-it.sh c:80 -- run'))).toEqual(['strong 2'])
})

test('RX3: service_started is for review where the other is called, and silent where it is not or is a job', () => {
  const texts = compose(`  a:
    image: a:1
    environment: {B: "http://b:80", M: "http://migrate:80"}
    depends_on:
      b: {condition: service_started}
      c: {condition: service_started}
      migrate: {condition: service_started}
  b: {image: "b:1"}
  c: {image: "c:1"}
  migrate: {image: "c:1"}
`)
  expect(found('compose-depends-started', texts)).toEqual(['review 6'])
})

test('RX4, RX5: jobs, profiles, checks in the image and in known images are silent, unknown images are for review', () => {
  const texts = compose(
    `  a: {image: "postgres:16"}
  b: {image: "ghcr.io/who/knows:1"}
  c: {image: "louislam/uptime-kuma:1"}
  d: {build: ./checked}
  e: {build: ./unchecked}
  f: {image: "redis:7", profiles: [tools]}
  g: {image: "redis:7", healthcheck: {test: [CMD, redis-cli, ping]}}
  h: {image: "redis:7", healthcheck: {disable: true}}
  migrate: {image: "ghcr.io/who/knows:1"}
  load: {image: "redis:7"}
  i: {image: "x/y:1", healthcheck: {test: x}, depends_on: {load: {condition: service_completed_successfully}}}
  j: {build: ./outside-of-this}
  k: {build: {context: ./checked, target: plain}}
`,
    {
      'checked/Dockerfile': 'FROM node:22 AS plain\nFROM node:22 AS base\nHEALTHCHECK CMD node x\nFROM base\nCMD node',
      'unchecked/Dockerfile': 'FROM node:22\nHEALTHCHECK CMD x\nHEALTHCHECK NONE',
    },
  )
  expect(found('compose-no-healthcheck', texts)).toEqual([
    'strong 2',
    'review 3',
    'strong 6',
    'strong 9',
    'review 13',
    'strong 14',
  ])
  const passing = compose(
    `  a: {image: "redis:7", healthcheck: {test: [CMD, "true"]}}
  b: {build: ./b}
  c: {image: "curlimages/curl:8.1.0", restart: "no", command: curl -X POST x}
`,
    { 'b/Dockerfile': 'FROM node:22\nHEALTHCHECK --interval=5s CMD ["true"]' },
  )
  expect(found('compose-no-healthcheck', passing)).toEqual(['strong 2', 'strong 3'])
})

test('RX6: every way to say when to restart is silent, and so are jobs', () => {
  const texts = compose(`  a: {image: "a:1"}
  b: {image: "a:1", restart: "no"}
  c: {image: "a:1", deploy: {restart_policy: {condition: any}}}
  d: {image: "a:1", command: alembic upgrade head}
  e: {image: "a:1", command: sh -c "alembic upgrade head && uvicorn app:app"}
  f: {image: "a:1", deploy: {restart_policy: {delay: 5s}}}
  g: {image: "a:1", profiles: [x]}
`)
  expect(found('compose-no-restart', texts)).toEqual(['strong 2', 'strong 6'])
  const overridden = { ...texts, 'compose.override.yml': 'services: {a: {restart: always}, e: {restart: always}}' }
  expect(found('compose-no-restart', overridden)).toEqual([])
})

test('RX7: contexts that are not there, submodules and folders above', () => {
  const texts = {
    'deploy/compose.yml': `services:
  a: {build: ./gone}
  b: {build: ../../sibling}
  c: {build: ../src}
  d: {build: {context: ../src, dockerfile: Other}}
  e: {build: ../sub}
  f: {build: "https://example.org/x.git"}
  g: {build: ${$('WHERE')}}
  h: {build: ../..}
  i: {build: {context: .., dockerfile: src/Dockerfile}}
`,
    'src/Dockerfile': 'FROM scratch',
    '.gitmodules': '[submodule "x"]\n\tpath = sub\n',
  }
  expect(found('compose-build-context-missing', texts)).toEqual(['strong 2', 'review 3', 'strong 5'])
})

test('RX8: datastores on every interface, not on loopback, unpublished, or what is no datastore', () => {
  const texts = compose(`  a: {image: "postgres:16", ports: ["5433:5432"]}
  b: {image: "redis:7", ports: ["127.0.0.1:6379:6379"]}
  c: {image: "mongo:7", ports: ["27017"]}
  d: {image: "nginx:1", ports: ["80:80"]}
  e: {image: "bitnami/mysql:8", ports: [{target: 3306, published: 3306}]}
  f: {image: "redis:7", ports: ["0.0.0.0:6379:6379/tcp"]}
`)
  expect(found('compose-db-port-exposed', texts)).toEqual(['strong 2', 'strong 6', 'strong 7'])
})

test('RX9, RX10: defaults and accounts in them are reported without their value, literals are not', () => {
  const texts = compose(`  a:
    image: a:1
    command: redis-server --requirepass hunter22
    environment:
      PASSWORD: hunter22
      JWT_SECRET: ${$('JWT_SECRET:-hunter22')}
      URL: postgres://me:hunter22@db:5432/x
      URL2: ${$('URL2:-postgres://me:hunter22@db/x')}
      URL3: postgres://${$('U')}:${$('P')}@db/x
      API_KEY: ${$('API_KEY')}
      DB_PASSWORD: ${$('DB_PASSWORD:?set it')}
      PASSWORD_MIN_LENGTH: "12"
      TOKEN_TTL: 3600s
      DB_PASSWORD_FILE: /run/secrets/x
      MAX_TOKENS: "4096"
      SECRET_TOKEN: ""
`)
  expect(found('compose-default-secret', texts)).toEqual(['strong 7', 'strong 9'])
  const rule = configurationRules.find(({ meta }) => meta.id === 'compose-default-secret')
  expect(JSON.stringify([...(rule?.run(repositoryOf(texts)) ?? [])])).not.toContain('hunter22')
})

test('RX11: a variable that nothing in the source names, unless the source walks over its environment', () => {
  const service = (folder: string) => `  ${folder}:
    build: ./${folder}
    environment: [USED=1, UNUSED=1, NODE_ENV=production, IN_CHECK=1, lower_one=1]
    healthcheck: {test: "echo $$IN_CHECK"}
`
  const texts = compose(`${service('a')}${service('b')}`, {
    'a/Dockerfile': 'FROM node:22',
    'a/index.js': 'const x = process.env.USED, y = config.LOWER_ONE',
    'b/Dockerfile': 'FROM node:22',
    'b/index.js': 'export default parse(process.env)',
  })
  expect(found('compose-env-unused', texts)).toEqual(['strong 4'])
  const shared = {
    'compose.yml': `x-env: &env
  IDLE_LIMIT: 1
  FULL_LIMIT: 2
services:
  a: {build: ./a, environment: *env}
  c: {build: ./c, environment: *env}
`,
    'a/Dockerfile': 'FROM node:22',
    'a/index.js': 'const x = process.env.IDLE_LIMIT',
    'c/Dockerfile': 'FROM node:22',
    'c/index.js': 'run()',
  }
  expect(found('compose-env-unused', shared)).toEqual(['strong 3'])
  const bound = { ...shared, 'a/pom.xml': '<groupId>org.springframework.boot</groupId>' }
  expect(found('compose-env-unused', bound)).toEqual([])
})

test('RX14: sources that are not there, not data, ignored files or what is absolute', () => {
  const texts = compose(
    `  a:
    image: a:1
    volumes:
      - ./there.conf:/etc/there.conf
      - ./gone.conf:/etc/gone.conf
      - ./folder:/etc/x:ro
      - ./data:/var/lib/x
      - ./ignored.pem:/etc/x.pem
      - /var/run/docker.sock:/var/run/docker.sock
      - named:/x
      - ./conf:/opt/conf
`,
    { 'there.conf': '', '.gitignore': '*.pem\n' },
  )
  expect(found('compose-bind-missing', texts)).toEqual(['strong 6', 'strong 7', 'review 12'])
})

test('RX15: names that nothing defines, for review where a file beside it does', () => {
  const texts = compose(
    `  a:
    image: a:1
    env_file: ignored.env
    container_name: first
    extra_hosts: ["outside:1.2.3.4"]
    depends_on: {nobody: {condition: service_healthy}}
    environment:
      A: http://missing:80/x
      B: redis://b:6379
      C: http://first:1
      D: https://example.org/x
      E: postgres://u:p/w@alias/x
      F: http://localhost:1
      NEXT_PUBLIC_X: http://missing:80
      DB_HOST: nowhere
      G: http://outside:1
      H: http://elsewhere:1
      I: ${$('I:-http://missing:2')}
  b: {image: "b:1", networks: {default: {aliases: [alias]}}}
`,
    { 'compose.more.yml': 'services: {elsewhere: {image: "x:1"}}' },
  )
  expect(found('compose-undefined-service-ref', texts)).toEqual([
    'strong 7',
    'strong 9',
    'strong 16',
    'review 18',
    'review 19',
  ])
  const shared =
    'services: {a: {image: "a:1", networks: [n], environment: {A: "http://x:1"}}}\nnetworks: {n: {external: true}}'
  expect(found('compose-undefined-service-ref', { 'compose.yml': shared })).toEqual([])
})

test('RX16: a fallback to localhost that means a service of the project', () => {
  const source = `const a = process.env.REDIS_URL ?? 'redis://localhost:6379'
const b = process.env.OTHER_URL || 'http://localhost:9999'
`
  const texts = (environment: string, dockerfile = 'FROM node:22\nCOPY . .') =>
    compose(`  web:\n    build: ./web\n    environment: ${environment}\n  cache: {image: "redis:7"}\n`, {
      'web/Dockerfile': dockerfile,
      'web/index.ts': source,
    })
  expect(found('compose-env-missing', texts('{A: "1"}'))).toEqual(['strong 4'])
  expect(found('compose-env-missing', texts('{REDIS_URL: "redis://cache"}'))).toEqual([])
  expect(
    found('compose-env-missing', texts('{A: "1"}', 'FROM node:22\nENV REDIS_URL=redis://cache\nCOPY . .')),
  ).toEqual([])
  expect(found('compose-env-missing', texts('{A: "1"}\n    env_file: .env'))).toEqual([])
})

test('RX16: a dependant of a datastore with a password that is told nothing of it, for review', () => {
  const texts = (environment: string) =>
    compose(`  web: {image: "web:1", depends_on: [cache], environment: ${environment}}
  api: {image: "api:1", environment: {REDIS_URL: "redis://cache:6379"}}
  cache: {image: "redis:7", command: "redis-server --requirepass x"}
`)
  expect(found('compose-env-missing', texts('{A: "1"}'))).toEqual(['review 2'])
  expect(found('compose-env-missing', texts('{CACHE_URL: "redis://cache:6379"}'))).toEqual([])
})

test('RX17: options without an argument and variables that an image needs, unless guarded or set', () => {
  const texts = (use: string) =>
    compose(
      `  a: {image: "redis:7", command: "redis-server --requirepass ${use}"}\n  b: {image: "postgres:16", environment: {POSTGRES_PASSWORD: "${use}"}}\n`,
    )
  expect(found('compose-required-var-unset', texts($('P')))).toEqual(['strong 2', 'review 3'])
  expect(found('compose-required-var-unset', texts($('P:?say')))).toEqual([])
  expect(found('compose-required-var-unset', texts($('P:-x')))).toEqual([])
  expect(found('compose-required-var-unset', { ...texts($('P')), '.env': 'P=x' })).toEqual([])
})

test('RX20: eviction where state or a queue lives, not in a cache', () => {
  const redis = (more: string) => compose(`  r: {image: "redis:7", command: "redis-server --maxmemory 1gb ${more}"}\n`)
  expect(found('redis-eviction-on-primary', redis('--maxmemory-policy allkeys-lru --appendonly yes'))).toEqual([
    'strong 2',
  ])
  expect(found('redis-eviction-on-primary', redis('--maxmemory-policy allkeys-lru'))).toEqual([])
  expect(found('redis-eviction-on-primary', redis('--maxmemory-policy noeviction --appendonly yes'))).toEqual([])
  const queue = { ...redis('--maxmemory-policy volatile-lru'), 'package.json': '{"dependencies": {"bullmq": "5"}}' }
  expect(found('redis-eviction-on-primary', queue)).toEqual(['strong 2'])
})

test('RX9: a default in a command, and keys of ciphers and signatures', () => {
  const texts = compose(`  a:
    image: redis:7
    command: redis-server --requirepass ${$('REDIS_PASSWORD:-hunter22')}
    environment:
      CIPHER_KEY: ${$('CIPHER_KEY:-hunter22')}
      RESET_TOKEN_SECRET: ${$('RESET_TOKEN_SECRET:-hunter22')}
      RESET_TOKEN: ${$('RESET_TOKEN:-hunter22')}
`)
  expect(found('compose-default-secret', texts)).toEqual(['strong 6', 'strong 7', 'strong 4'])
})

test('RX8, RX20, RX26: a datastore that is built here is one', () => {
  const texts = compose(
    `  db: {build: ./db, ports: ["5432:5432"]}
  redis:
    build: ./redis
    command: redis-server --appendonly yes --maxmemory 1gb --maxmemory-policy allkeys-lru
`,
    { 'db/Dockerfile': 'FROM postgres:16 AS base\nFROM base', 'redis/Dockerfile': 'FROM redis:7' },
  )
  expect(found('compose-db-port-exposed', texts)).toEqual(['strong 2'])
  expect(found('compose-no-volume', texts)).toEqual(['strong 2', 'strong 3'])
  expect(found('redis-eviction-on-primary', texts)).toEqual(['strong 5'])
})

test('QT12: a volume above the data of Postgres stays empty before version 18', () => {
  const db = (image: string, target: string, more = '') =>
    compose(`  db:\n    image: "${image}"\n${more}    volumes:\n      - data:${target}\n`)
  expect(found('compose-no-volume', db('postgres:17.2', '/var/lib/postgresql'))).toEqual(['strong 2'])
  expect(found('compose-no-volume', db('postgres:17.2', '/var/lib/postgresql/data'))).toEqual([])
  expect(found('compose-no-volume', db('postgres:18', '/var/lib/postgresql'))).toEqual([])
  expect(found('compose-no-volume', db('postgres', '/var/lib/postgresql'))).toEqual([])
  const moved = '    environment: { PGDATA: /var/lib/postgresql/x }\n'
  expect(found('compose-no-volume', db('postgres:17.2', '/var/lib/postgresql', moved))).toEqual([])
})
