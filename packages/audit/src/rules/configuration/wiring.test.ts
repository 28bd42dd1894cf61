import { expect, test } from 'vitest'
import { repositoryOf } from '../../repository/repository.fixture.ts'
import { configurationRules } from './index.ts'

/** `tier file:line` of the first evidence of each discovery of a rule. */
function found(id: string, texts: Record<string, string>): string[] {
  const rule = configurationRules.find(({ meta }) => meta.id === id)
  expect(rule).toBeDefined()
  return [...(rule?.run(repositoryOf(texts)) ?? [])].map(
    ({ tier, evidence }) => `${tier} ${evidence[0]?.loc?.file}:${evidence[0]?.loc?.line}`,
  )
}

const SHARED = 'FROM python:3.12\nARG NAME\nCOPY apps/$NAME/x.txt ./\nCOPY libs ./libs\n'
const SERVICES = (context: string, more = '') =>
  `services:\n  a:\n    build: {context: ., dockerfile: docker/Dockerfile}\n  b:\n    build: {context: ${context}, dockerfile: ${'../'.repeat(context === '.' ? 0 : 2)}docker/Dockerfile${more}}\n`

test.each([
  [
    'a build in a folder that lacks it',
    SERVICES('apps/b'),
    ['strong docker/Dockerfile:3', 'strong docker/Dockerfile:4'],
  ],
  ['every build has it', SERVICES('.'), []],
  ['a build that does not make the stage', SERVICES('apps/b', ', target: base'), []],
])('QM1: one Dockerfile for many folders: %s', (_name, compose, expected) => {
  const stages = compose.includes('target') ? SHARED.replace('COPY libs', 'FROM python:3.12\nCOPY libs') : SHARED
  const text = compose.includes('target')
    ? stages.replace('FROM', 'FROM python:3.12 AS base\nFROM').replace('COPY apps/$NAME/x.txt ./\n', '')
    : stages
  const texts = { 'compose.yml': compose, 'docker/Dockerfile': text, 'libs/l.py': '', 'apps/b/main.py': '' }
  expect(found('dockerfile-copy-missing-source', texts)).toEqual(expected)
})

test('QM2: a wildcard that no lockfile fits, though one lies elsewhere', () => {
  const rule = 'dockerfile-npm-ci-no-lockfile'
  const texts = {
    'deploy/Dockerfile': 'FROM node:22\nCOPY ui/package.json ui/package-lock.json* ./ui/\nRUN cd ui && npm ci\n',
    'ui/package.json': '{}',
    'other/package-lock.json': '{}',
  }
  expect(found(rule, texts)).toEqual(['strong deploy/Dockerfile:3'])
  expect(found(rule, { ...texts, 'ui/package-lock.json': '{}' })).toEqual([])
})

test.each([
  ['FROM python:3.12-slim\nRUN apt-get install -y curl git', 'pgrep -f worker', true],
  ['FROM python:3.12-slim\nRUN apt-get install -y procps', 'pgrep -f worker', false],
  ['FROM python:3.12', 'pgrep -f worker', false],
  ['FROM node:22-alpine', 'pgrep node', false],
  ['FROM debian:12-slim\nRUN apt-get install -y netcat-openbsd', 'nc -z localhost 80', false],
  ['FROM debian:12-slim', 'nc -z localhost 80', true],
])('QM3: %s with the check %s: missing is %s', (dockerfile, check, isMissing) => {
  const texts = { 'compose.yml': `services: {a: {build: ., healthcheck: {test: "${check}"}}}`, Dockerfile: dockerfile }
  expect(found('compose-healthcheck-binary-missing', texts)).toEqual(isMissing ? ['strong compose.yml:1'] : [])
})

const NGINX = `upstream api {
  server web:3000;
  server gone:3000 max_fails=2;
}
server {
  listen 80;
  server_name example.org;
  location / { proxy_pass http://api; }
  location /a { proxy_pass http://web:3000/a; }
  # location /b { proxy_pass http://other:3000; }
  location /c { proxy_pass http://missing:3000; }
  location /d { proxy_pass https://far.example.org; }
  location /e { proxy_pass http://$host; }
}
`
const MOUNTED =
  'services:\n  web: {image: web}\n  proxy:\n    image: nginx:1\n    volumes: ["./proxy:/etc/nginx/conf.d"]\n'

test('QM4, QM5: hosts of an nginx that compose mounts its configuration into', () => {
  const rule = 'compose-undefined-service-ref'
  const texts = { 'compose.yml': MOUNTED, 'proxy/default.conf': NGINX }
  expect(found(rule, texts)).toEqual(['strong proxy/default.conf:3', 'strong proxy/default.conf:11'])
  const both = MOUNTED.replace(
    'image: web}',
    'image: web}\n  gone: {image: g}\n  x: {image: x, container_name: missing}',
  )
  expect(found(rule, { ...texts, 'compose.yml': both })).toEqual([])
  expect(found(rule, { ...texts, 'compose.yml': MOUNTED.replace('./proxy', './elsewhere') })).toEqual([])
})

test('QM5: of an nginx that is built, and of one that no project runs', () => {
  const rule = 'compose-undefined-service-ref'
  const image = { 'web/Dockerfile': 'FROM nginx:1\nCOPY site.conf /etc/nginx/conf.d/default.conf\n' }
  const conf = 'server {\n  location / { proxy_pass http://backend:8000; }\n}\n'
  const built = { 'compose.yml': 'services: {web: {build: ./web}}', 'web/site.conf': conf, ...image }
  expect(found(rule, built)).toEqual(['strong web/site.conf:2'])
  const alone = {
    'compose.yml': 'services: {db: {image: "postgres:17"}}',
    'conf/site.conf': conf,
    'web/Dockerfile': 'FROM nginx:1\nCOPY conf/site.conf /etc/nginx/conf.d/default.conf\n',
  }
  expect(found(rule, alone)).toEqual(['review conf/site.conf:2'])
  expect(found(rule, { ...alone, 'compose.yml': 'services: {backend: {image: b}}' })).toEqual([])
  expect(found(rule, { ...alone, 'compose.yml': '' })).toEqual([])
})

test('QM4: targets and addresses of YAML', () => {
  const scrape = `scrape_configs:
  - job_name: a
    static_configs:
      - targets: ['localhost:9090', 'api:8000']
      - targets:
          - "exporter:9100"
          - 10.0.0.1:80
        labels: {a: "b:80"}
  # - targets: ['old:1']
services:
  - url: http://api:8000/x
  - url: http://far:8000
`
  const texts = {
    'compose.yml':
      'services:\n  api: {image: a}\n  prometheus:\n    image: prom/prometheus:v3\n    volumes: ["./p.yml:/etc/prometheus/prometheus.yml:ro"]\n',
    'p.yml': scrape,
  }
  expect(found('compose-undefined-service-ref', texts)).toEqual(['strong p.yml:6', 'strong p.yml:12'])
})

const INGRESS = (
  target: string,
  path: string,
  type = 'Prefix',
  version = 'networking.k8s.io/v1',
) => `apiVersion: ${version}
kind: Ingress
metadata:
  name: i
  annotations:
    nginx.ingress.kubernetes.io/rewrite-target: ${target}
spec:
  rules: [{http: {paths: [{path: ${path}, pathType: ${type}}]}}]
`
const ROUTES = { 'a/index.ts': "import express from 'express'\nconst app = express()\napp.get('/orders/:id', f)\n" }

test.each([
  ['the bare root', INGRESS('/', '/shop'), ['strong k8s/i.yaml:6']],
  ['of an old controller', INGRESS('/', '/shop', 'Prefix', 'extensions/v1beta1'), ['review k8s/i.yaml:6']],
  ['with a group', INGRESS('/$2', '/shop(/|$)(.*)', 'ImplementationSpecific'), []],
  ['one address', INGRESS('/', '/shop', 'Exact'), []],
  ['the root itself', INGRESS('/', '/'), []],
])('QM6: an Ingress that rewrites to %s', (_name, text, expected) => {
  expect(found('proxy-path-lost', { 'k8s/i.yaml': text, ...ROUTES })).toEqual(expected)
})

test('QM7: brokers and the Redis of a queue, not a cache or one of two', () => {
  const rule = 'compose-no-volume'
  const queue = { 'requirements.txt': 'celery==5.4\n' }
  const redis = 'services:\n  r:\n    image: redis:7\n'
  expect(found(rule, { 'compose.yml': redis, ...queue })).toEqual(['review compose.yml:2'])
  expect(found(rule, { 'compose.yml': `${redis}    volumes: ["r:/data"]\nvolumes: {r: }\n`, ...queue })).toEqual([])
  expect(found(rule, { 'compose.yml': redis })).toEqual([])
  expect(found(rule, { 'compose.yml': `${redis}  s: {image: "redis:7"}\n`, ...queue })).toEqual([])
  expect(found(rule, { 'compose.yml': 'services:\n  q:\n    image: rabbitmq:4-management\n' })).toEqual([
    'review compose.yml:2',
  ])
})

test('QM8: what an image of another language carries along', () => {
  const texts = {
    'compose.yml': 'services:\n  a:\n    build: ./a\n',
    'a/Dockerfile': 'FROM python:3.12\nWORKDIR /app\nCOPY . .\n',
    'a/page/build.js': "import path from 'node:path'\nexport const shared = path.resolve(__dirname, '../../common')\n",
    'common/x.js': '',
  }
  expect(found('path-mismatch', texts)).toEqual([])
  const node = { ...texts, 'a/Dockerfile': 'FROM node:22\nWORKDIR /app\nCOPY . .\n' }
  expect(found('path-mismatch', node)).toEqual(['strong a/page/build.js:2'])
})

test('RX11: settings with a prefix are read by it', () => {
  const texts = {
    'compose.yml':
      'services:\n  a:\n    build: ./a\n    environment:\n      MQ_URL: amqp://q\n      MQ_OLD_URL: amqp://q\n',
    'a/Dockerfile': 'FROM python:3.12\nCOPY . .\n',
    'a/settings.py':
      "from pydantic_settings import BaseSettings, SettingsConfigDict\n\nclass Settings(BaseSettings):\n    url: str = 'x'\n    model_config = SettingsConfigDict(env_prefix='MQ_')\n",
  }
  expect(found('compose-env-unused', texts)).toEqual(['strong compose.yml:6'])
})
