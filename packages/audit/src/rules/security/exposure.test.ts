import { expect, test } from 'vitest'
import { repositoryOf } from '../../repository/repository.fixture.ts'
import { securityRules } from './index.ts'

const $ = (inside: string) => `\u0024{${inside}}`

/** `tier severity line` of the first evidence of each discovery of a rule; the severity where it is not the rule's. */
function found(id: string, texts: Record<string, string>): string[] {
  const rule = securityRules.find(({ meta }) => meta.id === id)
  expect(rule).toBeDefined()
  return [...(rule?.run(repositoryOf(texts)) ?? [])].map(
    ({ tier, severity, evidence }) =>
      `${tier} ${severity === undefined ? '' : `${severity} `}${evidence[0]?.loc?.line}`,
  )
}

const ts = (source: string, file = 'src/a.ts') => ({ [file]: source })
const py = (source: string) => ({ 'src/a.py': source })
const CORS = "import cors from 'cors'\n"
const STARLETTE = 'from fastapi.middleware.cors import CORSMiddleware\n'
const FLASK = 'from flask_cors import CORS\n'

test.each([
  ['nothing said', ts(`${CORS}app.use(cors())`), ['strong 2']],
  ['a star', ts(`${CORS}app.use(\n  cors({\n    origin: '*',\n  }),\n)`), ['strong 4']],
  [
    'where nothing is configured',
    ts(`${CORS}app.use(cors({ origin: process.env.ORIGIN || '*', credentials: true }))`),
    ['strong 2'],
  ],
  [
    'whoever asks, with credentials',
    ts(`${CORS}app.use(cors({ origin: true, credentials: true }))`),
    ['strong high 2'],
  ],
  ['options kept', ts(`${CORS}const options = { origin: '*' }\napp.use(cors(options))`), ['strong 3']],
  ['for later', ts(`${CORS}export const open = cors()`), ['review 2']],
  ['nest', ts("app.enableCors({\n  origin: '*',\n})"), ['strong 2']],
  ['fastify', ts("import cors from '@fastify/cors'\napp.register(cors, { origin: true })"), ['strong 2']],
  ['koa reflects', ts("import cors from '@koa/cors'\napp.use(cors({ credentials: true }))"), ['strong high 2']],
  [
    'starlette',
    py(
      `${STARLETTE}app.add_middleware(\n    CORSMiddleware,\n    allow_origins=["*"],\n    allow_credentials=True,\n)\n`,
    ),
    ['strong high 4'],
  ],
  [
    'starlette without credentials',
    py(`${STARLETTE}app.add_middleware(CORSMiddleware, allow_origins=["*"])\n`),
    ['strong 2'],
  ],
  ['flask', py(`${FLASK}CORS(app)\n`), ['strong 2']],
  ['django', py('CORS_ALLOW_ALL_ORIGINS = True\n'), ['strong 1']],
])('SU3: open to all: %s', (_name, texts, expected) => {
  expect(found('cors-permissive', texts)).toEqual(expected)
})

test.each([
  ['a list', ts(`${CORS}app.use(cors({ origin: ['https://a.io'] }))`)],
  ['a function', ts(`${CORS}app.use(cors({ origin: (o, done) => done(null, ok(o)) }))`)],
  ['from elsewhere', ts(`${CORS}app.use(cors({ origin: config.origins }))`)],
  ['mixed in', ts(`${CORS}app.use(cors({ ...options }))`)],
  ['one route', ts(`${CORS}app.get('/open', cors(), f)`)],
  ['only what asks beforehand', ts(`${CORS}app.options('*', cors())`)],
  ['one path', ts(`${CORS}app.use('/open', cors())`)],
  ['a playground', ts(`${CORS}app.use(cors())`, 'playground/a.ts')],
  ['starlette, a setting', py(`${STARLETTE}app.add_middleware(CORSMiddleware, allow_origins=settings.origins)\n`)],
  ['flask, some resources', py(`${FLASK}CORS(app, resources={'/open': {}})\n`)],
  ['another cors', ts("import cors from './cors'\napp.use(cors())")],
])('SU3: is silent: %s', (_name, texts) => {
  expect(found('cors-permissive', texts)).toEqual([])
})

test('SU3: variables of origins in compose', () => {
  const service = (value: string) => `services:\n  a:\n    image: a:1\n    environment:\n      CORS_ORIGINS: ${value}\n`
  expect(found('cors-permissive', { 'compose.yml': service(`${$('CORS_ORIGINS:-*')}`) })).toEqual(['strong 5'])
  expect(found('cors-permissive', { 'compose.yml': service('"*"') })).toEqual(['strong 5'])
  expect(found('cors-permissive', { 'compose.dev.yml': service('"*"') })).toEqual(['review 5'])
  expect(found('cors-permissive', { 'compose.yml': service(`${$('CORS_ORIGINS')}`) })).toEqual([])
  expect(found('cors-permissive', { 'compose.yml': service(`${$('CORS_ORIGINS:-https://a.io')}`) })).toEqual([])
  expect(found('cors-permissive', { 'compose.yml': service('https://a.io') })).toEqual([])
})

test.each([
  ['an option', ts('const pool = new Pool({\n  ssl: { rejectUnauthorized: false },\n})'), ['strong 2']],
  [
    'chosen by a line that is not about it',
    ts('const ssl = production ? { rejectUnauthorized: false } : false'),
    ['strong 1'],
  ],
  ['in a branch', ts("if (env.SSL === 'true') {\n  options.ssl = { rejectUnauthorized: false }\n}"), ['review 2']],
  ['the process', ts("process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0'"), ['strong 1']],
  ['requests', py('import requests\nrequests.get(url, verify=False)\n'), ['strong 2']],
  ['a context', py('import ssl\ncontext.verify_mode = ssl.CERT_NONE\n'), ['strong 2']],
  [
    'compose',
    { 'compose.yml': 'services:\n  a:\n    image: a:1\n    environment: {NODE_TLS_REJECT_UNAUTHORIZED: "0"}\n' },
    ['strong 4'],
  ],
  ['verified', ts('const ssl = { rejectUnauthorized: true, ca }'), []],
  ['a setting of that name', ts('if (config.skipVerify) {\n  options.ssl = { rejectUnauthorized: false }\n}'), []],
  ['a setting by a choice', py('import ssl\nc.verify_mode = ssl.CERT_REQUIRED if on else ssl.CERT_NONE\n'), []],
  ['another verify', py('check(signature, verify=False)\n'), []],
  ['a script', ts('const ssl = { rejectUnauthorized: false }', 'scripts/a.ts'), []],
])('SU4: certificates: %s', (_name, texts, expected) => {
  expect(found('tls-verification-off', texts)).toEqual(expected)
})

const OFF = "    return jwt.decode(token, options={'verify_signature': False})\n"

test.each([
  ['believed', py(`import jwt\ndef user_of(token):\n${OFF}`), ['strong 3']],
  ['the old way', py('import jwt\ndef user_of(token):\n    return jwt.decode(token, verify=False)\n'), ['strong 3']],
  ['only looked at', py(`import jwt\ndef peek(token):\n${OFF}`), ['review 3']],
  [
    'looked at, then verified',
    py(
      `import jwt\ndef user_of(token):\n    issuer = jwt.decode(token, options={'verify_signature': False})\n    return jwt.decode(token, keys[issuer])\n`,
    ),
    [],
  ],
  [
    'no algorithm at all',
    ts("import jwt from 'jsonwebtoken'\njwt.verify(token, key, { algorithms: ['none'] })"),
    ['strong 2'],
  ],
  [
    'decoded by a server',
    ts("import jwt from 'jsonwebtoken'\nimport express from 'express'\nconst user = jwt.decode(token)"),
    ['review 3'],
  ],
  ['decoded by a page', ts("import jwt from 'jsonwebtoken'\nconst user = jwt.decode(token)"), []],
  [
    'verified nearby',
    ts(
      "import jwt from 'jsonwebtoken'\nimport express from 'express'\nconst user = jwt.decode(token)\njwt.verify(token, key)",
    ),
    [],
  ],
  ['verified', py('import jwt\ndef user_of(token):\n    return jwt.decode(token, key)\n'), []],
])('SU5: tokens: %s', (_name, texts, expected) => {
  expect(found('jwt-unverified', texts)).toEqual(expected)
})

const IMAGE = (start: string, stage = '') => ({ Dockerfile: `FROM node:22${stage}\nCOPY . .\n${start}\n` })
const COMPOSE = (more: string) => ({ 'compose.yml': `services:\n  a:\n    build: .\n${more}` })
const RUN = "from flask import Flask\napp = Flask(__name__)\nif __name__ == '__main__':\n    app.run(debug=True)\n"

test.each([
  ['a reload', IMAGE('CMD ["uvicorn", "a:app", "--reload"]'), ['strong 3']],
  ['a script of developers', IMAGE('CMD ["npm", "run", "dev"]'), ['strong 3']],
  ['a debugger', { ...IMAGE('ENTRYPOINT ["python3"]\nCMD ["app.py"]'), 'app.py': RUN }, ['strong 4']],
  ['compose', { ...IMAGE('CMD node a.js'), ...COMPOSE('    command: nodemon a.js\n') }, ['strong 4']],
  [
    'compose, with the source mounted',
    { ...IMAGE('CMD node a.js'), ...COMPOSE('    command: nodemon a.js\n    volumes: [".:/app"]\n'), 'a.js': '' },
    ['review 4'],
  ],
  ['a switch', { ...IMAGE('CMD node a.js'), ...COMPOSE('    environment: {FLASK_DEBUG: "1"}\n') }, ['strong 4']],
  ['production', IMAGE('CMD ["node", "a.js"]'), []],
  ['a stage of developers', IMAGE('CMD ["npm", "run", "dev"]', ' AS dev'), []],
  ['a file of developers', { 'Dockerfile.dev': IMAGE('CMD ["npm", "run", "dev"]').Dockerfile }, []],
  ['replaced by compose', { ...IMAGE('CMD ["npm", "run", "dev"]'), ...COMPOSE('    command: node a.js\n') }, []],
  ['nobody starts that file', { ...IMAGE('CMD ["gunicorn", "app:app"]'), 'app.py': RUN }, []],
])('SU7: started: %s', (_name, texts, expected) => {
  expect(found('debug-in-production', texts)).toEqual(expected)
})

const ROUTE = (body: string) => ts(`app.get('/x/:id', async (req, res) => {\n${body}\n})`)

test.each([
  ['a template', ROUTE(`  await db.query(\`select * from t where id = ${$('req.params.id')}\`)`), ['strong 2']],
  ['put together', ROUTE("  await db.query('select * from t where id = ' + req.params.id)"), ['strong 2']],
  [
    'through names',
    ROUTE(
      `  const { id } = req.body\n  const text = \`delete from t where id = '${$('id')}'\`\n  await db.query(text)`,
    ),
    ['strong 4'],
  ],
  ['Python', py('def f():\n    cur.execute(f"select * from t where id = {request.args.get(\'id\')}")\n'), ['strong 2']],
  [
    'Python, percent',
    py("def f():\n    id = request.form['id']\n    cur.execute('select * from t where id = %s' % id)\n"),
    ['strong 3'],
  ],
  ['a parameter', ROUTE("  await db.query('select * from t where id = $1', [req.params.id])"), []],
  ['a tag', ROUTE(`  await db.query(sql\`select * from t where id = ${$('req.params.id')}\`)`), []],
  ['a number', ROUTE(`  await db.query(\`select * from t where id = ${$('Number(req.params.id)')}\`)`), []],
  ['not from a request', ROUTE(`  await db.query(\`select * from ${$('table')}\`)`), []],
  ['no statement', ROUTE(`  await run(\`hello ${$('req.params.id')}\`)`), []],
])('SU8: a statement with %s', (_name, texts, expected) => {
  expect(found('unvalidated-input', texts)).toEqual(expected)
})

const SOCKETS = "import { Server } from 'socket.io'\n"
const byHand = (params: string, value = '*') =>
  ts(`app.use((${params}) => {\n  res.setHeader('Access-Control-Allow-Origin', '${value}')\n  next()\n})`)

test.each([
  ['sockets', ts(`${SOCKETS}const io = new Server(http, { cors: { origin: '*' } })`), ['strong 2']],
  ['sockets that name origins', ts(`${SOCKETS}const io = new Server(http, { cors: { origin: SITE } })`), []],
  ['sockets that share with nobody', ts(`${SOCKETS}const io = new Server(http)`), []],
  ['a header of a middleware', byHand('req, res, next'), ['strong 2']],
  ['a header that names one', byHand('req, res, next', 'https://a.example'), []],
  ['a header of one answer', byHand('req, res'), []],
])('QJ19: origins that are shared by hand: %s', (_name, texts, expected) => {
  expect(found('cors-permissive', texts)).toEqual(expected)
})

test('QT32: a method of its own that is called enableCors is none of Nest', () => {
  const own = (call: string) =>
    ts(`class Server {\n  constructor() {\n    this.${call}()\n  }\n  enableCors() {\n    this.app.use(only)\n  }\n}`)
  expect(found('cors-permissive', own('enableCors'))).toEqual([])
  expect(found('cors-permissive', own('app.enableCors'))).toEqual(['strong 3'])
})
