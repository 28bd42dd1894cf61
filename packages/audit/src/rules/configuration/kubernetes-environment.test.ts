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

const workload = (env: string, more = ''): string =>
  `apiVersion: apps/v1
kind: Deployment
metadata: {name: billing, namespace: shop}
spec:
  template:
    spec:
      containers:
        - name: billing
          image: registry.example.org/shop/billing:3
${env}${more}`

const map = (kind: string, data: string, namespace = 'shop'): string =>
  `apiVersion: v1\nkind: ${kind}\nmetadata: {name: settings, namespace: ${namespace}}\ndata: {${data}}\n`

const ENV = '          env:\n            - name: LEDGER_URL\n              value: http://ledger\n'
const FROM = '          envFrom:\n            - configMapRef: {name: settings}\n'
const IMAGE = 'FROM python:3.12\nCOPY . .\nCMD ["python", "main.py"]\n'
const NEEDY =
  "import os\nif not os.environ.get('LEDGER_URL'):\n    raise SystemError('no ledger')\nos.environ['LEDGER_KEY']\n"
const UNSET = ['strong deploy/billing.yaml:8']

test.each<[string, Record<string, string>, readonly string[]]>([
  ['one of two is given', { 'deploy/billing.yaml': workload(ENV) }, UNSET],
  ['all are', { 'deploy/billing.yaml': workload(`${ENV}            - {name: LEDGER_KEY, value: a}\n`) }, []],
  [
    'a map gives the other',
    { 'deploy/billing.yaml': workload(ENV, FROM), 'deploy/map.yaml': map('ConfigMap', 'LEDGER_KEY: a') },
    [],
  ],
  [
    'a map gives others',
    { 'deploy/billing.yaml': workload(ENV, FROM), 'deploy/map.yaml': map('ConfigMap', 'OTHER: a') },
    UNSET,
  ],
  ['a map that is not here', { 'deploy/billing.yaml': workload(ENV, FROM) }, []],
  [
    'another manifest gives it',
    {
      'deploy/billing.yaml': workload(ENV),
      'more/billing.yaml': workload('          env:\n            - {name: LEDGER_KEY, value: a}\n'),
    },
    [],
  ],
  [
    'a command of its own',
    { 'deploy/billing.yaml': workload(ENV, '          command: [env-run, python, main.py]\n') },
    [],
  ],
  ['another image', { 'deploy/billing.yaml': workload(ENV).replace('shop/billing:3', 'shop/other:3') }, []],
  ['two Dockerfiles for it', { 'deploy/billing.yaml': workload(ENV), 'old/billing/Dockerfile': IMAGE }, []],
])('QM12: %s', (_name, texts, expected) => {
  const own = { 'billing/Dockerfile': IMAGE, 'billing/main.py': NEEDY }
  expect(found('kubernetes-env-unset', { ...own, ...texts })).toEqual(expected)
})

const KEY = (more = ''): string =>
  workload(
    `          env:\n            - name: LEDGER_KEY\n              valueFrom:\n                secretKeyRef:\n                  name: settings\n                  key: ledger\n${more}`,
  )
const SECRET = map('Secret', 'other: YQ==')
const MISSING = ['strong deploy/billing.yaml:15']

test.each<[string, Record<string, string>, readonly string[]]>([
  ['a key that it has', { 'deploy/a.yaml': map('Secret', 'ledger: YQ==') }, []],
  ['a key that it lacks', { 'deploy/a.yaml': SECRET }, MISSING],
  ['an object that is not here', {}, []],
  [
    'an optional key',
    { 'deploy/a.yaml': SECRET, 'deploy/billing.yaml': KEY('                  optional: true\n') },
    [],
  ],
])('QM14: %s', (_name, texts, expected) => {
  expect(found('kubernetes-key-missing', { 'deploy/billing.yaml': KEY(), ...texts })).toEqual(expected)
})

test.each<[string, Record<string, string>, readonly string[]]>([
  ['another namespace', { 'deploy/a.yaml': map('Secret', 'other: YQ==', 'elsewhere') }, []],
  ['another folder', { 'demo/a.yaml': SECRET }, []],
  ['a folder above', { 'a.yaml': SECRET }, MISSING],
  ['two halves', { 'deploy/a.yaml': SECRET, 'deploy/b.yaml': map('Secret', 'ledger: YQ==') }, []],
  ['a script that makes it', { 'deploy/a.yaml': SECRET, 'up.sh': 'kubectl create secret generic settings\n' }, []],
  [
    'a script that makes another',
    { 'deploy/a.yaml': SECRET, 'up.sh': 'kubectl create secret generic more\n' },
    MISSING,
  ],
  ['an operator that makes it', { 'deploy/a.yaml': SECRET, 'deploy/b.yaml': map('ExternalSecret', '') }, []],
])('QM13: %s', (_name, texts, expected) => {
  expect(found('kubernetes-key-missing', { 'deploy/billing.yaml': KEY(), ...texts })).toEqual(expected)
})
