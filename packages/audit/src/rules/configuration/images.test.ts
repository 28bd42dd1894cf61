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

test('every rule has its own id, a remedy and a source', () => {
  const ids = configurationRules.map(({ meta }) => meta.id)
  expect(new Set(ids).size).toBe(ids.length)
  for (const { meta } of configurationRules) {
    expect(meta.remedies.length).toBeGreaterThan(0)
    expect(meta.sources.length).toBeGreaterThan(0)
  }
})

test.each([
  ['FROM node:22-alpine', 'CMD curl -f x', true],
  ['FROM node:22-alpine', 'CMD wget -q x', false],
  ['FROM node:22-alpine\nRUN apk add --no-cache curl', 'CMD curl -f x', false],
  ['FROM node:22-alpine\nRUN apk add libcurl-dev', 'CMD curl -f x', true],
  ['FROM python:3.12-slim', 'CMD-SHELL curl -f x || exit 1', true],
  ['FROM python:3.12-slim', 'CMD-SHELL curl -f x || wget x || exit 1', true],
  ['FROM python:3.12-slim', 'CMD-SHELL curl -f x || python -c x', false],
  ['FROM python:3.12', 'CMD curl -f x', false],
  ['FROM ghcr.io/unknown/base:1', 'CMD curl -f x', false],
  ['FROM node:22-slim AS tools\nRUN apt-get install -y curl\nFROM node:22-slim', 'CMD curl -f x', true],
  ['FROM node:22-slim AS tools\nRUN apt-get install -y curl\nFROM tools', 'CMD curl -f x', false],
  ['FROM node:22-slim\nCOPY --from=x /usr/bin/curl /usr/bin/', 'CMD curl -f x', false],
])('RX12: %s with the check %s: missing is %s', (dockerfile, check, isMissing) => {
  const texts = {
    'compose.yml': `services:\n  a:\n    build: .\n    healthcheck:\n      test: "${check}"\n`,
    Dockerfile: dockerfile,
  }
  expect(found('compose-healthcheck-binary-missing', texts)).toEqual(isMissing ? ['strong compose.yml:5'] : [])
})

test('RX12: the check of a Dockerfile itself, and of an image that compose names', () => {
  const texts = {
    'a/Dockerfile': 'FROM node:22-alpine\nHEALTHCHECK --interval=5s CMD curl -f x || exit 1',
    'b/Dockerfile': 'FROM node:22-alpine\nHEALTHCHECK CMD ["node", "x.js"]',
    'compose.yml': 'services:\n  p: {image: "python:3-slim", healthcheck: {test: [CMD, curl, x]}}\n',
  }
  expect(found('compose-healthcheck-binary-missing', texts)).toEqual(['strong compose.yml:2', 'strong a/Dockerfile:2'])
})

const install = (lines: string, more: Record<string, string> = {}) => ({
  'web/Dockerfile': `FROM node:22\n${lines}`,
  'web/package.json': '{}',
  'compose.yml': 'services: {web: {build: ./web}}',
  ...more,
})

test('RX13: an install without a lockfile in the context, or without one copied', () => {
  const rule = 'dockerfile-npm-ci-no-lockfile'
  const lock = { 'web/package-lock.json': '{}' }
  expect(found(rule, install('COPY package*.json ./\nRUN npm ci'))).toEqual(['strong web/Dockerfile:3'])
  expect(found(rule, install('COPY package*.json ./\nRUN npm ci', lock))).toEqual([])
  expect(found(rule, install('COPY package.json ./\nRUN npm ci', lock))).toEqual(['strong web/Dockerfile:3'])
  expect(found(rule, install('COPY . .\nRUN npm ci', lock))).toEqual([])
  expect(found(rule, install('COPY . .\nRUN npm install'))).toEqual([])
  expect(found(rule, install('COPY . .\nRUN npm ci || npm install'))).toEqual([])
  expect(found(rule, install('COPY . .\nRUN if [ -f package-lock.json ]; then npm ci; fi'))).toEqual([])
  expect(found(rule, install('COPY . .\nRUN pnpm install --frozen-lockfile', lock))).toEqual([
    'strong web/Dockerfile:3',
  ])
  // The lockfile of the root counts only where the build may be done in the root.
  const root = { 'package-lock.json': '{}' }
  expect(found(rule, install('COPY . .\nRUN npm ci', root))).toEqual(['strong web/Dockerfile:3'])
  expect(found(rule, { ...install('COPY . .\nRUN npm ci', root), 'compose.yml': '' })).toEqual([])
})

test('RX18: sources that are in no context, not what builds make, wildcards or variables', () => {
  const rule = 'dockerfile-copy-missing-source'
  expect(found(rule, install('COPY gone.txt package.json ./'))).toEqual(['strong web/Dockerfile:2'])
  expect(
    found(rule, install('COPY dist/ ./\nCOPY $X ./\nCOPY opt* ./\nCOPY ["package.json", "."]\nADD https://x/y ./')),
  ).toEqual([])
  expect(found(rule, install('COPY ignored ./', { '.gitignore': 'ignored/\n' }))).toEqual([])
  expect(found(rule, install('COPY <<EOF /etc/x\nhello\nEOF'))).toEqual([])
  const alone = { 'web/Dockerfile': 'FROM a\nCOPY web/x ./\nCOPY y ./\nCOPY none ./', 'web/x': '', 'web/y': '' }
  expect(found(rule, alone)).toEqual(['review web/Dockerfile:4'])
})

test('RX19: of another stage only what it cannot have made', () => {
  const rule = 'dockerfile-copy-missing-source'
  const lines =
    'COPY . .\nRUN npm run build\nFROM node:22\nCOPY --from=0 /app/public ./public\nCOPY --from=0 /app/.next ./'
  const next = { 'web/package.json': '{"dependencies": {"next": "15"}}' }
  expect(found(rule, install(lines, next))).toEqual(['strong web/Dockerfile:5'])
  expect(found(rule, install(lines, { ...next, 'web/public/a.txt': '' }))).toEqual([])
  expect(found(rule, install(lines.replace('npm run build', 'mkdir -p public'), next))).toEqual([])
  expect(found(rule, install(lines))).toEqual([])
})

test('RX21, RX22: imports of what no COPY brings, in TypeScript and Python', () => {
  const rule = 'docker-context-missing-module'
  const typescript = {
    'web/src/a.ts': "import { x } from '../lib/x'\nimport type { Y } from '../lib/y'\nexport const z = x\n",
    'web/lib/x.ts': 'export const x = 1',
    'web/lib/y.ts': 'export type Y = 1',
  }
  expect(found(rule, install('COPY src ./src', typescript))).toEqual(['strong web/Dockerfile:2'])
  expect(found(rule, install('COPY src ./src\nCOPY lib ./lib', typescript))).toEqual([])
  expect(found(rule, install('COPY . .', typescript))).toEqual([])
  const types = { 'web/src/a.ts': "import type { Y } from '../lib/y'\n", 'web/lib/y.ts': 'export type Y = 1' }
  expect(found(rule, install('COPY src ./src', types))).toEqual([])
  const python = (folder: string) => ({
    'web/src/a.py': `import os, sys\nsys.path.append(os.path.join(os.path.dirname(__file__), '..', '..', '${folder}'))\nfrom telemetry import x\n`,
    'shared/telemetry.py': 'x = 1',
  })
  expect(found(rule, install('COPY src/ ./src/', python('shared')))).toEqual(['strong web/Dockerfile:2'])
  expect(found(rule, install('COPY src/ ./src/', python('nowhere')))).toEqual([])
  expect(found(rule, install('COPY src/ ./src/', { ...python(''), 'telemetry.py': '' }))).toEqual([])
  const unused = { ...python('shared'), 'shared/telemetry.py': undefined, 'shared/other.py': '' }
  expect(found(rule, install('COPY src/ ./src/', JSON.parse(JSON.stringify(unused))))).toEqual([])
})

test('RX23: replicas, probes and limits, not of templates, scaled deployments or overlays', () => {
  const object = (name: string, spec: string) => `apiVersion: apps/v1
kind: Deployment
metadata: {name: ${name}}
spec:
${spec}
`
  const bare = '  template: {spec: {containers: [{name: c, image: a, ports: [{containerPort: 80}]}]}}'
  const good = `  replicas: 2
  template:
    spec:
      containers:
        - {name: c, image: a, ports: [], readinessProbe: {}, resources: {limits: {memory: 1Gi}}}`
  const scaler = 'apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nspec: {scaleTargetRef: {name: b}}\n'
  const texts = {
    'k8s/a.yaml': object('a', bare),
    'k8s/b.yaml': `${object('b', bare)}---\n${scaler}`,
    'k8s/good.yaml': object('good', good),
    'k8s/overlays/a.yaml': object('a', bare),
    'chart/templates/t.yaml': object('t', `  replicas: {{ .Values.n }}\n${good.replace('replicas: 2', '')}`),
    'chart/templates/u.yaml': object(
      'u',
      `${good}\n          {{- toYaml .Values.more | nindent 10 }}`.replace('replicas: 2', ''),
    ),
    'chart/templates/v.yaml': object('v', '  replicas: 1\n  template: {spec: {containers: []}}').replace(
      'name: v',
      'name: {{ .Release.Name }}',
    ),
  }
  expect(found('kubernetes-single-replica', texts)).toEqual(['strong chart/templates/v.yaml:5', 'strong k8s/a.yaml:4'])
  expect(found('kubernetes-missing-probes', texts)).toEqual(['strong k8s/a.yaml:5', 'strong k8s/b.yaml:5'])
  expect(found('kubernetes-missing-limits', texts)).toEqual(['strong k8s/a.yaml:5', 'strong k8s/b.yaml:5'])
})

test('RX18: nobody looked into the folders of tools, so nothing in them is missing', () => {
  const texts = {
    Dockerfile: 'FROM node:22\nCOPY .yarn/releases .yarn/releases\nCOPY gone.txt gone.txt',
    'compose.yml': 'services: {a: {build: .}}',
  }
  expect(found('dockerfile-copy-missing-source', texts)).toEqual(['strong Dockerfile:3'])
})

test.each([
  ['COPY ../wheels.txt .', []],
  ['COPY ../absent.txt .', ['strong app/Dockerfile:2']],
])('QR11: %j has %j', (copy, expected) => {
  const texts = {
    'compose.yml': 'services:\n  a:\n    build: { context: ., dockerfile: app/Dockerfile }\n',
    'app/Dockerfile': `FROM python:3.12\n${copy}\n`,
    'wheels.txt': 'x',
  }
  expect(found('dockerfile-copy-missing-source', texts)).toEqual(expected)
})
