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

const SERVICE = (more = '') => `services:\n  a:\n    build: ./a\n${more}`
const IMAGE = 'FROM node:22\nWORKDIR /app\nCOPY . .\n'
const LOOKS = "import path from 'node:path'\nconst rules = await import(path.join(__dirname, '../common/rules.mjs'))\n"
const TREE = { 'compose.yml': SERVICE(), 'a/Dockerfile': IMAGE, 'a/index.mjs': LOOKS, 'common/rules.mjs': '' }

test.each([
  ['not in the image', TREE, ['strong a/index.mjs:2']],
  [
    'mounted elsewhere',
    { ...TREE, 'compose.yml': SERVICE('    volumes: ["./common/rules.mjs:/app/common/rules.mjs"]\n') },
    ['strong a/index.mjs:2'],
  ],
  ['asked for first', { ...TREE, 'a/index.mjs': `${LOOKS}existsSync(x)\n` }, ['review a/index.mjs:2']],
  [
    'in Python',
    {
      ...TREE,
      'a/index.mjs': '',
      'a/m.py': "import os\np = open(os.path.join(os.path.dirname(__file__), '..', 'common', 'rules.mjs'))\n",
    },
    ['strong a/m.py:2'],
  ],
  ['mounted there', { ...TREE, 'compose.yml': SERVICE('    volumes: ["./common:/common"]\n') }, []],
  [
    'copied there',
    {
      ...TREE,
      'compose.yml': 'services:\n  a:\n    build: {context: ., dockerfile: a/Dockerfile}\n',
      'a/Dockerfile': 'FROM node:22\nWORKDIR /app/a\nCOPY a .\nCOPY common /app/common\n',
    },
    [],
  ],
  ['from another stage', { ...TREE, 'a/Dockerfile': `${IMAGE}COPY --from=b /out /common\n` }, []],
  [
    'not there in a checkout either',
    { ...TREE, 'common/rules.mjs': '', 'a/index.mjs': LOOKS.replace('rules.mjs', 'other.mjs') },
    [],
  ],
  ['compiled', { ...TREE, 'a/index.mjs': '', 'a/index.ts': LOOKS }, []],
  [
    'a folder to search for modules',
    {
      ...TREE,
      'a/index.mjs': '',
      'a/m.py': "import os, sys\nsys.path.append(os.path.join(os.path.dirname(__file__), '..', 'common'))\n",
    },
    [],
  ],
])('RX24: a file beside the source: %s', (_name, texts, expected) => {
  expect(found('path-mismatch', texts)).toEqual(expected)
})

const PROXY = (path: string, mount = '/api/orders') =>
  `import express from 'express'\nconst app = express()\napp.use('${mount}', async (req, res) => {\n  const answer = await forward('orders', ${path})\n  res.json(answer)\n})\n`
const FAR = { 'far/index.ts': "import express from 'express'\nconst app = express()\napp.get('/api/orders/:id', f)\n" }

test.each([
  ['the far end has it', { 'p/index.ts': PROXY('req.path'), ...FAR }, ['strong p/index.ts:4']],
  ['the far end is not known', { 'p/index.ts': PROXY('req.url') }, ['review p/index.ts:4']],
  ['in a text', { 'p/index.ts': PROXY(`\`http://o\u0024{req.url}\``), ...FAR }, ['strong p/index.ts:4']],
  ['the whole of it', { 'p/index.ts': PROXY('req.originalUrl'), ...FAR }, []],
  ['put together again', { 'p/index.ts': PROXY('req.baseUrl + req.path'), ...FAR }, []],
  ['mounted at the root', { 'p/index.ts': PROXY('req.path', '/'), ...FAR }, []],
  ['only logged', { 'p/index.ts': PROXY('req.path').replace('forward(', 'console.log('), ...FAR }, []],
])('RX25: a path that is handed on: %s', (_name, texts, expected) => {
  expect(found('proxy-path-lost', texts)).toEqual(expected)
})

const STORE = (more: string) => ({ 'compose.yml': `services:\n  db:\n${more}volumes: {data: {}}\n` })

test.each([
  ['nothing mounted', STORE('    image: postgres:16\n'), ['strong compose.yml:2']],
  [
    'only its first script',
    STORE('    image: mysql:8\n    volumes: ["./init.sql:/docker-entrypoint-initdb.d/init.sql"]\n'),
    ['strong compose.yml:2'],
  ],
  [
    'a Redis that keeps its keys',
    STORE('    image: redis:7\n    command: redis-server --appendonly yes\n'),
    ['strong compose.yml:2'],
  ],
  ['a volume', STORE('    image: postgres:16\n    volumes: ["data:/var/lib/postgresql/data"]\n'), []],
  ['a cache', STORE('    image: redis:7\n'), []],
  ['no store', STORE('    image: nginx:1\n'), []],
])('RX26: data of a store: %s', (_name, texts, expected) => {
  expect(found('compose-no-volume', texts)).toEqual(expected)
})

test('RX26: a project of developers is for review', () => {
  expect(found('compose-no-volume', { 'compose.dev.yml': 'services:\n  db: {image: "mongo:7"}\n' })).toEqual([
    'review compose.dev.yml:2',
  ])
})

const READS = (source: string, compose = SERVICE(), more: Record<string, string> = {}) => ({
  'compose.yml': compose,
  'a/Dockerfile': 'FROM python:3.12\nCOPY . /app\n',
  'a/main.py': `import os\n${source}`,
  ...more,
})

test.each([
  ['at the top', READS("KEY = os.environ['API_KEY']\n"), ['strong compose.yml:2']],
  [
    'common by two services',
    READS("KEY = os.environ['API_KEY']\n", `${SERVICE()}  b:\n    build: ./a\n`),
    ['review compose.yml:2', 'review compose.yml:4'],
  ],
  ['given', READS("KEY = os.environ['API_KEY']\n", SERVICE('    environment: [API_KEY=1]\n')), []],
  [
    'given by a file',
    READS("KEY = os.environ['API_KEY']\n", SERVICE('    env_file: [a.env]\n'), { 'a.env': 'API_KEY=1' }),
    [],
  ],
  [
    'perhaps given by a file that is not there',
    READS("KEY = os.environ['API_KEY']\n", SERVICE('    env_file: [a.env]\n')),
    [],
  ],
  ['with a fallback', READS("KEY = os.getenv('API_KEY')\nOTHER = os.environ.get('B', '')\n"), []],
  ['when it is needed', READS("def f():\n    return os.environ['API_KEY']\n"), []],
  ['tried', READS("try:\n    KEY = os.environ['API_KEY']\nexcept KeyError:\n    KEY = None\n"), []],
  [
    'of the image',
    { ...READS("KEY = os.environ['API_KEY']\n"), 'a/Dockerfile': 'FROM python:3.12\nENV API_KEY=1\nCOPY . /app\n' },
    [],
  ],
  ['of a script', READS('', SERVICE(), { 'a/scripts/x.py': "import os\nKEY = os.environ['API_KEY']\n" }), []],
])('RX27: a variable that is asked for: %s', (_name, texts, expected) => {
  expect(found('compose-env-unset', texts)).toEqual(expected)
})

const JS = (source: string, more: Record<string, string> = {}) => ({
  'compose.yml': SERVICE(),
  'a/Dockerfile': 'FROM node:22\nCOPY . /app\n',
  'a/main.ts': source,
  ...more,
})
const ENV = 'process.env'

test.each([
  ['refused', JS(`if (!${ENV}.API_KEY) throw new Error('x')\n`), ['strong compose.yml:2']],
  ['refused by its name', JS(`const key = ${ENV}.API_KEY\nif (!key) process.exit(1)\n`), ['strong compose.yml:2']],
  ['counted on', JS(`const key = ${ENV}.API_KEY!\n`), ['review compose.yml:2']],
  [
    'one of a list',
    JS(`const required = ['API_KEY']\nfor (const each of required) if (!${ENV}[each]) throw new Error(each)\n`),
    ['strong compose.yml:2'],
  ],
  [
    'asked for',
    JS(
      `function requireEnv(n) {\n  const v = ${ENV}[n]\n  if (!v) throw new Error(n)\n  return v\n}\nconst k = requireEnv('API_KEY')\n`,
    ),
    ['strong compose.yml:2'],
  ],
  [
    'a field',
    READS('from pydantic_settings import BaseSettings\nclass S(BaseSettings):\n    api_key: str\ns = S()\n'),
    ['strong compose.yml:2'],
  ],
  [
    'perhaps in a file',
    JS(`import 'dotenv/config'\nif (!${ENV}.API_KEY) throw new Error('x')\n`),
    ['review compose.yml:2'],
  ],
  ['in an example', JS(`if (!${ENV}.API_KEY) throw new Error('x')\n`, { 'a/.env.example': 'API_KEY=\n' }), []],
  ['with a fallback', JS(`const key = ${ENV}.API_KEY ?? 'x'\nif (!key) throw new Error('x')\n`), []],
  ['only told', JS(`if (!${ENV}.API_KEY) console.warn('x')\n`), []],
  ['one of two', JS(`if (!${ENV}.API_KEY && !${ENV}.B_KEY) throw new Error('x')\n`), []],
  [
    'as it starts',
    JS(`function bootstrap() { if (!${ENV}.API_KEY) throw new Error('x') }\nbootstrap()\n`),
    ['strong compose.yml:2'],
  ],
  ['when somebody asks', JS(`app.get('/x', () => { if (!${ENV}.API_KEY) throw new Error('x') })\n`), []],
  ['of the platform', JS(`if (!${ENV}.PORT) throw new Error('x')\n`), []],
  [
    'a field that a file fills',
    READS(
      "from pydantic_settings import BaseSettings\nclass S(BaseSettings):\n    api_key: str\n    class Config:\n        env_file = '.env'\ns = S()\n",
    ),
    [],
  ],
  ['a list that nothing looks up', JS("const required = ['API_KEY']\n"), []],
])('OS3: a variable that is required: %s', (_name, texts, expected) => {
  expect(found('compose-env-unset', texts)).toEqual(expected)
})

test.each([
  ['service_healthy', ['strong compose.yml:2', 'strong compose.yml:4']],
  ['service_completed_successfully', ['strong compose.yml:4']],
])('QR12: a store that is named for seeds and waited for with %s: %j', (condition, expected) => {
  const text = `services:\n  store-seed:\n    image: cassandra:4.1\n  store-two:\n    image: cassandra:4.1\n    depends_on:\n      store-seed: { condition: ${condition} }\n`
  expect(found('compose-no-restart', { 'compose.yml': text })).toEqual(expected)
})
