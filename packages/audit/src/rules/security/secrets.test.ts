import { expect, test } from 'vitest'
import { repositoryOf } from '../../repository/repository.fixture.ts'
import { securityRules } from './index.ts'

const $ = (inside: string) => `\u0024{${inside}}`

function discoveries(id: string, texts: Record<string, string>) {
  const rule = securityRules.find(({ meta }) => meta.id === id)
  expect(rule).toBeDefined()
  return [...(rule?.run(repositoryOf(texts)) ?? [])]
}

/** `tier line` of the first evidence of each discovery of a rule. */
function found(id: string, texts: Record<string, string>): string[] {
  return discoveries(id, texts).map(({ tier, evidence }) => `${tier} ${evidence[0]?.loc?.line}`)
}

const ts = (source: string, file = 'src/a.ts') => ({ [file]: source })
const py = (source: string) => ({ 'src/a.py': source })

test('SU1: literals of compose, not defaults, guards, settings of secrets, or what a pipeline makes for a moment', () => {
  const texts = {
    'compose.yml': `services:
  a:
    image: a:1
    command: redis-server --requirepass hunter22
    environment:
      PASSWORD: hunter22
      URL: postgres://me:hunter22@db:5432/x
      JWT_SECRET: ${$('JWT_SECRET:-hunter22')}
      URL3: postgres://${$('U')}:${$('P')}@db/x
      DB_PASSWORD: ${$('DB_PASSWORD:?set it')}
      PASSWORD_MIN_LENGTH: "12"
      DB_PASSWORD_FILE: /run/secrets/x
      SECRET_TOKEN: ""
`,
  }
  expect(found('hardcoded-secret', texts)).toEqual(['strong 6', 'strong 7', 'strong 4'])
  expect(JSON.stringify(discoveries('hardcoded-secret', texts))).not.toContain('hunter22')
  expect(found('hardcoded-secret', { '.ci/compose.yml': texts['compose.yml'] })).toEqual([])
  expect(found('hardcoded-secret', { 'compose.dev.yml': texts['compose.yml'] })[0]).toBe('review 6')
})

test('SU1: accounts in commands, and in settings that are written as one object', () => {
  const texts = {
    'compose.yml': `services:
  a:
    image: a:1
    command: ["--mongodb.uri=mongodb://me:hunter22@db:27017/admin"]
    environment:
      DB: '{"host": "db", "password": "hunter22"}'
      OTHER: '{"host": "db", "password": "${$('P')}"}'
  b:
    image: a:1
    entrypoint: run --url amqp://${$('U')}:${$('P')}@mq
  c:
    image: a:1
    entrypoint: run --url amqp://me:hunter22@mq
`,
  }
  expect(found('hardcoded-secret', texts)).toEqual(['strong 6', 'strong 4', 'strong 13'])
})

test.each([
  ["const pool = new Pool({ host: 'db', user: 'me', password: process.env.DB_PASSWORD || 'root' })", []],
  ["jwt.sign(user, 'hunter22')", ['strong 1']],
  ["createHmac('sha256', 'hunter22')", ['strong 1']],
  ["app.use(session({ secret: 'keyboard cat 1'.trim(), resave: true }))", []],
  ["app.use(session({ secret: 'keyboard-1' }))", ['strong 1']],
  ["const pool = new Pool({\n  host: 'db',\n  user: 'root',\n  password: 'root',\n})", ['strong 4']],
  [`const key = '${'AKIA'}${'Z7Q4RTYUIOPLKJHG'}'`, ['strong 1']],
  ["const apiKey = 'q8Zx01mn-77'", ['review 1']],
  ["const endpoints = [{ url: 'x', secret: 'hook_secret_123' }]", ['review 1']],
])('SU1: a credential of source: %s', (source, expected) => {
  expect(found('hardcoded-secret', ts(source))).toEqual(expected)
})

test.each([
  ts("const password = 'password'"),
  ts("const rules = { password: 'Eight letters or more 1' }"),
  ts("const fields = { secret: ['password', 'token1'] }"),
  ts("const apiKey = 'your-api-key-123'"),
  ts("const apiKey = '<API_KEY_1>'"),
  ts("const tokenType = 'bearer1x'"),
  ts("const passwordField = 'field_12345'"),
  ts("const apiKeyPattern = '[A-Z0-9]{32}'"),
  ts("const apiKey = 'x-api-key'"),
  ts("const token = 'ACCESS_TOKEN_2'"),
  ts('const apiKey = process.env.API_KEY'),
  ts("const password = 'hunter22x'", 'src/login.tsx'),
  ts("const password = 'hunter22x'", 'scripts/seed.ts'),
  ts("const password = 'hunter22x'", 'src/a.test.ts'),
  py("PASSWORD_FIELD = 'hunter22x'\nsecret_name = 'abc-12345'\n"),
])('SU1: is silent: %j', (texts) => {
  expect(found('hardcoded-secret', texts)).toEqual([])
})

const claims = (of: object): string => Buffer.from(JSON.stringify(of)).toString('base64url')
const token = (of: object): string => `${claims({ alg: 'HS256', typ: 'JWT' })}.${claims(of)}.${'Zq3_x'.repeat(8)}`

test.each([
  ['assigned', (text: string) => `shown = "${text}"\n`, { iss: 'broker', sub: '8271' }, ['strong 1']],
  ['returned', (text: string) => `def fallback():\n    return "${text}"\n`, { iss: 'broker' }, ['strong 2']],
  ['for everybody', (text: string) => `shown = "${text}"\n`, { iss: 'store', role: 'anon' }, []],
  ['made to be shown', (text: string) => `shown = "${text}"\n`, { name: 'John Doe' }, []],
])('QL6: a token with its signature, %s', (_name, source, of, expected) => {
  expect(found('hardcoded-secret', py(source(token(of))))).toEqual(expected)
})

test.each([
  [
    'of the file',
    { 'src/a.py': 'import jwt\nKEY = "your-key-change-it"\ndef f(t):\n    return jwt.decode(t, KEY)\n' },
    ['strong 2'],
  ],
  [
    'of another file',
    {
      'src/a.py':
        'import jwt\nfrom .conf import signing\ndef f(t):\n    return jwt.encode(t, signing, algorithm="HS256")\n',
      'src/conf.py': 'A = 1\nsigning = "abc1234"\n',
    },
    ['strong 2'],
  ],
  [
    'of the environment',
    { 'src/a.py': 'import jwt, os\nKEY = os.environ["K"]\ndef f(t):\n    return jwt.decode(t, KEY)\n' },
    [],
  ],
  [
    'written twice',
    { 'src/a.py': 'import jwt\nKEY = "ab1234"\nKEY = read()\ndef f(t):\n    return jwt.decode(t, KEY)\n' },
    [],
  ],
])('QL8: a constant that tokens are signed with, %s', (_name, texts, expected) => {
  expect(found('hardcoded-secret', texts)).toEqual(expected)
})

test.each([
  ["import * as jwt from 'jsonwebtoken'\nexport const who = (token) => jwt.verify(token, 'test')\n", ['strong 2']],
  ["import { sign } from 'jsonwebtoken'\nexport const make = (who) => sign(who, 'my-key')\n", ['strong 2']],
  ["import * as jwt from 'jsonwebtoken'\nexport const who = (token) => jwt.verify(token, '<your key>')\n", []],
  ["import { sign } from 'jsonwebtoken'\nexport const make = (who) => sign(who, process.env.KEY)\n", []],
  ["import { verify } from 'argon2'\nexport const same = (hash) => verify(hash, 'test')\n", []],
])('QL8: a literal in the place of the key itself: %j', (source, expected) => {
  expect(found('hardcoded-secret', ts(source))).toEqual(expected)
})

test.each([
  ["authDomain: 'a.example.com'", []],
  ["region: 'eu'", ['strong 1']],
])('QL20: the key of a web app, beside %s', (beside, expected) => {
  const key = `AIza${'Sy4_k'.repeat(7)}`
  expect(found('hardcoded-secret', ts(`start({ apiKey: '${key}', ${beside} })`))).toEqual(expected)
})

test.each([
  ['"postgresql://app:s3cr3t@db:5432/app"', ['strong 3']],
  ['"postgresql://app:s3cr3t@localhost:5432/app"', []],
  ['"postgresql://user:password@db:5432/app"', []],
  ['"postgresql://db:5432/app"', []],
])('QL7: the address %s as a default', (text, expected) => {
  const source = `from pydantic_settings import BaseSettings\nclass Settings(BaseSettings):\n    database_url: str = ${text}\n`
  expect(found('default-secret', py(source))).toEqual(expected)
})

test.each([
  ['TypeScript', ts("const config = {\n  secret: process.env.JWT_SECRET || 'known-to-all',\n}"), ['strong 2']],
  ['Python', py("import os\nKEY = os.getenv('SECRET_KEY', 'changeme')\n"), ['strong 2']],
  ['in a branch', ts("if (dev) {\n  key = process.env.JWT_SECRET ?? 'known'\n}"), ['review 2']],
  ['empty', ts("const key = process.env.JWT_SECRET || ''"), []],
  ['no secret', ts("const ttl = process.env.TOKEN_TTL || 'known'"), []],
  ['that says there is none', ts("const key = process.env.JWT_SECRET || 'not-set'"), []],
  ['of an issuer', ts("const key = process.env.OPENAI_API_KEY || 'known'"), []],
  ['only tried', py("import os\nKEY = os.getenv('TEST_JWT_SECRET', 'known')\n"), []],
  ['required by a list', ts("const key = process.env.JWT_SECRET || 'known'\nconst required = ['JWT_SECRET']\n"), []],
  ['required by a call', ts("const key = process.env.JWT_SECRET || 'known'\nrequireEnv('JWT_SECRET')\n"), []],
  [
    'in a schema',
    ts("const key = process.env.JWT_SECRET || 'known'\nconst schema = z.object({ JWT_SECRET: z.string() })\n"),
    [],
  ],
  [
    'compared',
    py("import os\nKEY = os.getenv('SECRET_KEY', 'changeme')\nif KEY == 'changeme':\n    raise ValueError('x')\n"),
    [],
  ],
])('SU2: a default that everybody knows: %s', (_name, texts, expected) => {
  expect(found('default-secret', texts)).toEqual(expected)
})

test('SU2: the list of another package says nothing of this one', () => {
  const texts = {
    'a/package.json': '{}',
    'a/x.ts': "const key = process.env.JWT_SECRET || 'known'",
    'b/package.json': '{}',
    'b/x.ts': "const required = ['JWT_SECRET']",
  }
  expect(found('default-secret', texts)).toEqual(['strong 1'])
})

test.each([
  ['TypeScript', ts('if (user.password === req.body.password) {\n  login()\n}'), ['strong 1']],
  ['negated', ts('if (!(account.password == password)) deny()'), ['strong 1']],
  ['returned', ts('function f() {\n  return found.password === password\n}'), ['strong 2']],
  ['Python', py('if user.password != form.password:\n    deny()\n'), ['strong 1']],
  ['hashed', ts('if (user.password === hash(password)) login()'), []],
  ['confirmed', ts('if (body.password === body.passwordConfirm) save()'), []],
  ['two of one form', ts('if (a.password === b.password) save()'), []],
  ['a page', ts('if (user.password === password) go()', 'src/a.tsx'), []],
  ['a password in a log', ts(`logger.info(\`new ${$('user.password')}\`)`), ['strong 1']],
  ['an object in a log', ts("logger.info('x', { key: config.apiSecret })"), ['strong 1']],
  ['a token in a log', py("logger.info(f'sent {reset.access_token}')\n"), ['review 1']],
  ['masked', ts(`logger.info(\`new ${$('mask(user.password)')}\`)`), []],
  ['only whether', ts('logger.info({ has: user.hasPassword, n: user.passwordLength })'), []],
  ['the cookies of a request in a log', ts('console.info(req.cookies, req.originalUrl)'), ['strong 1']],
  ['its header in a log', ts('logger.info(request.headers.authorization)'), ['strong 1']],
  ['other headers in a log', ts('logger.info(req.headers.host, jar.cookies)'), []],
  ['no log', ts('store.info(user.password)'), []],
])('SU6, QT20: in clear: %s', (_name, texts, expected) => {
  expect(found('secret-in-clear', texts)).toEqual(expected)
})

test('SU9: one secret in two environments, but not in a template', () => {
  const texts = { '.env.production': 'JWT_SECRET=q8Zx01mn\nPORT=80\n', '.env.staging': 'A=1\nJWT_SECRET=q8Zx01mn\n' }
  expect(found('shared-secret', texts)).toEqual(['strong 1'])
  expect(JSON.stringify(discoveries('shared-secret', texts))).not.toContain('q8Zx01mn')
  expect(found('shared-secret', { ...texts, '.env.staging': 'JWT_SECRET=other-one-1' })).toEqual([])
  expect(found('shared-secret', { ...texts, '.env.staging': 'JWT_SECRET=your-secret' })).toEqual([])
  const template = { '.env.production.example': 'JWT_SECRET=q8Zx01mn', '.env.staging': 'JWT_SECRET=q8Zx01mn' }
  expect(found('shared-secret', template)).toEqual([])
})

test('SU10: a signature that is compared with its digest is for review, with its own function it is silent', () => {
  const make = "const expected = createHmac('sha256', key).update(body).digest('hex')\n"
  expect(found('timing-unsafe-comparison', ts(`${make}if (signature !== expected) deny()`))).toEqual(['review 2'])
  expect(found('timing-unsafe-comparison', ts(`${make}if (!timingSafeEqual(signature, expected)) deny()`))).toEqual([])
  expect(found('timing-unsafe-comparison', ts(`${make}if (signature !== stored) deny()`))).toEqual([])
  const python = 'expected = hmac.new(key, body).hexdigest()\nif expected == signature:\n    ok()\n'
  expect(found('timing-unsafe-comparison', py(python))).toEqual(['review 2'])
})

test('QM10: values of manifests, not placeholders, references or templates', () => {
  const texts = {
    'k8s/a.yaml': `apiVersion: apps/v1
kind: Deployment
metadata: {name: a}
spec:
  template:
    spec:
      containers:
        - name: a
          image: a:1
          env:
            - name: DB_PASSWORD
              value: hunter22
            - name: OTHER_PASSWORD
              valueFrom: {secretKeyRef: {name: s, key: k}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: c}
data:
  DATABASE_URL: postgres://me:hunter22@db:5432/x
  LOG_LEVEL: info
---
apiVersion: v1
kind: Secret
metadata: {name: s}
stringData:
  JWT_SECRET: change-me
  API_KEY: your-key
data:
  DB_PASSWORD: aHVudGVyMjI=
`,
    'chart/templates/b.yaml':
      'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: b}\ndata:\n  DB_PASSWORD: {{ .Values.password }}\n',
  }
  expect(found('hardcoded-secret', texts)).toEqual(['strong 12', 'strong 20', 'strong 30'])
  expect(found('hardcoded-secret', { 'k8s/dev/a.yaml': texts['k8s/a.yaml'] })[0]).toBe('review 12')
  expect(JSON.stringify(discoveries('hardcoded-secret', texts))).not.toContain('hunter22')
})

test('QM9: a word in the place of a key of somebody else', () => {
  const compose = (value: string, name = 'LLM_API_KEY') => ({
    'compose.yml': `services:\n  a:\n    image: a:1\n    environment:\n      ${name}: ${value}\n`,
  })
  for (const word of ['dummy', 'ollama', 'not-needed', 'sk-no-key-required'])
    expect(found('hardcoded-secret', compose(word))).toEqual([])
  expect(found('hardcoded-secret', compose('k3y-0f-s0mething'))).toEqual(['strong 5'])
  expect(found('hardcoded-secret', compose('dummy', 'DB_PASSWORD'))).toEqual(['strong 5'])
  expect(found('default-secret', ts("const k = process.env.LLM_API_KEY || 'dummy'\n"))).toEqual([])
  expect(found('default-secret', ts("const k = process.env.JWT_SECRET || 'dummy'\n"))).toEqual(['strong 1'])
})

test('QT11: what cookies and tokens are signed with may be no constant, whatever it says', () => {
  const signs = (source: string) => found('hardcoded-secret', { 'src/a.ts': source })
  const plugin = "import cookie from '@fastify/cookie'\nexport const add = (app) => app.register(cookie, {\n  secret: "
  expect(signs(`${plugin}'my-own-key',\n})`)).toEqual(['strong 3'])
  expect(signs(`${plugin}config.key,\n})`)).toEqual([])
  const module = "import { JwtModule } from '@nestjs/jwt'\nexport const jwt = JwtModule.register({ secret: "
  expect(signs(`${module}'secretKey' })`)).toEqual(['strong 2'])
  expect(signs(`${module}'<secret>' })`)).toEqual([])
  const strategy =
    "class S extends PassportStrategy(Strategy) {\n  constructor() {\n    super({ secretOrKey: 'mine' })\n  }\n}"
  expect(signs(strategy)).toEqual(['strong 3'])
  expect(signs("import parser from 'cookie-parser'\napp.use(parser('our cookies'))")).toEqual(['strong 2'])
})
