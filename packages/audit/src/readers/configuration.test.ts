import { expect, test } from 'vitest'
import { readConfiguration } from '../repository/read-configuration.ts'
import { filesOf } from '../repository/repository.fixture.ts'
import { readDockerfile } from './dockerfile.ts'
import { readDotenv } from './dotenv.ts'
import { readKubernetesFile } from './kubernetes.ts'
import { readMongoose, readPrisma, readSql, readSqlAlchemy } from './schemas.ts'

test('DX1, DX2, DX3: continuations, comments between them, heredocs and defaults of ARG', () => {
  const { stages } = readDockerfile(
    'Dockerfile',
    `# syntax=docker/dockerfile:1
ARG TAG=20-alpine
FROM --platform=$BUILDPLATFORM node:\${TAG} AS build
RUN apk add \\
    # why
    curl

RUN <<EOF
FROM nothing
COPY a b
EOF
COPY . .
FROM build
HEALTHCHECK --interval=5s \\
  CMD curl -f http://localhost
`,
  )
  expect(stages.map(({ name, base }) => [name, base.value, base.loc.line])).toEqual([
    ['build', 'node:20-alpine', 3],
    [undefined, 'build', 13],
  ])
  expect(stages[0]?.instructions.map(({ name, loc }) => [name, loc.line, loc.endLine])).toEqual([
    ['RUN', 4, 6],
    ['RUN', 8, 11],
    ['COPY', 12, 12],
  ])
  expect(stages[0]?.instructions[0]?.text).toBe('apk add curl')
  expect(stages[1]?.instructions[0]?.text).toContain('CMD curl')
})

test('CX3: names, quotes over lines, exports and comments of an env file', () => {
  const found = readDotenv('.env', 'A=1\n# no\nexport B="two\nlines"\nC=x # said\nA=2\nbroken line\n')
  expect([...found].map(([name, { value, loc }]) => [name, value, loc.line])).toEqual([
    ['A', '2', 6],
    ['B', 'two\nlines', 3],
    ['C', 'x', 5],
  ])
})

test('KX1, KX2: several documents, lists and templates keep their lines, and what is no object is none', () => {
  const text = `apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .Values.name }}
  namespace: shop
spec:
  replicas: 1
  {{- if .Values.x }}
  paused: true
  {{- end }}
---
just: data
---
apiVersion: v1
kind: List
items:
  - {apiVersion: v1, kind: Service, metadata: {name: web}}
`
  const [deployment, service, ...more] = readKubernetesFile('a.yaml', text)
  expect(more).toEqual([])
  expect(deployment).toMatchObject({
    kind: 'Deployment',
    name: 'template',
    namespace: 'shop',
    hidesBlocks: false,
    loc: { line: 2 },
  })
  expect(deployment?.line(['spec', 'replicas'])).toBe(7)
  const [hiding] = readKubernetesFile(
    'b.yaml',
    'apiVersion: v1\nkind: Pod\nspec:\n  {{- toYaml .Values.spec | nindent 2 }}\n',
  )
  expect(hiding).toMatchObject({ kind: 'Pod', hidesBlocks: true })
  expect(service).toMatchObject({ kind: 'Service', name: 'web' })
})

test('CX8: dependencies and scripts have lines, and lockfiles are found beside and above', () => {
  const { manifests } = readConfiguration(
    filesOf({
      'package-lock.json': '{}',
      'apps/web/package.json': '{\n  "scripts": { "start": "node ." },\n  "dependencies": {\n    "next": "15"\n  }\n}',
      'api/requirements.txt': '# x\nFastAPI[all]>=0.1  # y\n-r other.txt\nredis==5\n',
      'api/pyproject.toml':
        '[project]\ndependencies = [\n  "celery>=5",\n]\n[tool.poetry.dependencies]\nhttpx = "^1"\n',
      'broken/package.json': '{ "dependencies": { "a": "1", ',
    }),
  )
  const byFile = new Map(manifests.map((manifest) => [manifest.file, manifest]))
  expect(byFile.get('apps/web/package.json')?.dependencies.get('next')).toMatchObject({ value: '15', loc: { line: 4 } })
  expect(byFile.get('apps/web/package.json')?.lockfile).toBe('package-lock.json')
  expect(byFile.get('api/requirements.txt')?.lockfile).toBeUndefined()
  expect([...(byFile.get('api/requirements.txt')?.dependencies.keys() ?? [])]).toEqual(['fastapi', 'redis'])
  expect([...(byFile.get('api/pyproject.toml')?.dependencies.keys() ?? [])]).toEqual(['celery', 'httpx'])
  expect([...(byFile.get('broken/package.json')?.dependencies.keys() ?? [])]).toEqual(['a'])
})

test('CX9: unique keys of SQL', () => {
  const found = readSql(
    'a.sql',
    `-- create table no (x int unique);
CREATE TABLE IF NOT EXISTS public."Orders" (
  id uuid PRIMARY KEY DEFAULT gen(1, 2),
  code varchar(10) UNIQUE NOT NULL,
  tenant int, -- a, b
  CONSTRAINT one UNIQUE (tenant, code)
);
CREATE UNIQUE INDEX i ON orders (lower_name DESC, tenant);
CREATE UNIQUE INDEX p ON orders (tenant) WHERE deleted IS NULL;
ALTER TABLE ONLY orders ADD CONSTRAINT c UNIQUE (note);`,
  )
  expect(found[0]).toMatchObject({ table: 'orders', loc: { line: 2 }, columns: ['id', 'code', 'tenant'] })
  expect(found.flatMap(({ unique }) => unique)).toEqual([
    ['id'],
    ['code'],
    ['tenant', 'code'],
    ['lower_name', 'tenant'],
    ['note'],
  ])
})

test('CX9: unique keys of Prisma, SQLAlchemy and Mongoose', () => {
  expect(
    readPrisma(
      'a.prisma',
      'model User {\n  id Int @id\n  mail String @unique\n  a Int\n  @@unique([a, mail(sort: Desc)])\n  @@map("users")\n}',
    ),
  ).toMatchObject([
    { table: 'users', columns: ['id', 'mail', 'a'], unique: [['id'], ['mail'], ['a', 'mail']], loc: { line: 1 } },
  ])
  const python = `class User(Base):
    __tablename__ = "users"
    __table_args__ = (UniqueConstraint("a", "b", name="u"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    a = Column(String(50), unique=True)
    b = Column(Integer)
`
  expect(readSqlAlchemy('m.py', python)).toMatchObject([
    { table: 'users', columns: ['id', 'a', 'b'], unique: [['id'], ['a'], ['a', 'b']] },
  ])
  const mongoose = `const userSchema = new mongoose.Schema({ mail: { type: String, unique: true }, n: { type: Number } })
userSchema.index({ n: 1, mail: 1 }, { unique: true })
export const User = mongoose.model('User', userSchema)`
  expect(readMongoose('m.js', mongoose)).toMatchObject([
    { table: 'user', columns: ['mail', 'n'], unique: [['mail'], ['n', 'mail']] },
  ])
})

test('CX9: an index of another file belongs to its table', () => {
  const { schemas } = readConfiguration(
    filesOf({ '1.sql': 'create table a (x int, y int);', '2.sql': 'create unique index i on a (x, y);' }),
  )
  expect(schemas).toMatchObject([{ file: '1.sql', table: 'a', unique: [['x', 'y']] }])
})

test('CX10: operations of an OpenAPI document, and nothing of other YAML', () => {
  const { openapi } = readConfiguration(
    filesOf({
      'api.yaml':
        'openapi: 3.1.0\ninfo: {version: "2"}\npaths:\n  /x:\n    get: {}\n    parameters: []\n    post: {}\n',
      'other.yaml': 'paths: {/y: {get: {}}}',
    }),
  )
  expect(openapi).toHaveLength(1)
  expect(openapi[0]?.operations.map(({ method, path, loc }) => [method, path, loc.line])).toEqual([
    ['get', '/x', 5],
    ['post', '/x', 7],
  ])
})

test('CX12: names of modules lead where compilers and packages say, and what is installed keeps its name', () => {
  const { moduleNames } = readConfiguration(
    filesOf({
      'tsconfig.json':
        '{ // of all\n "compilerOptions": { "baseUrl": "./", /* libs */ "paths": { "@lib/*": ["libs/*/src",], "//": [] } } }',
      'apps/a/package.json':
        '{"name": "a", "dependencies": {"@x/bus": "*", "redis": "^4.1.0"}, "imports": {"#db": "./src/db.js"}}',
      'apps/redis/package.json': '{"name": "redis", "version": "1.0.0"}',
      'packages/bus/package.json': '{"name": "@x/bus", "main": "./dist/main.js"}',
      'broken/tsconfig.json': '{"compilerOptions": ',
    }),
  )
  expect(moduleNames.map(({ folder, name, targets }) => [folder, name, targets[0]])).toEqual([
    ['', '@lib/*', 'libs/*/src'],
    ['', '//', undefined],
    ['', '*', '*'],
    ['apps/a', '#db', 'apps/a/src/db.js'],
    ['', '@x/bus', 'packages/bus/dist/main.js'],
    ['', '@x/bus/*', 'packages/bus/*'],
  ])
  expect(moduleNames.find(({ name }) => name === '@x/bus')?.targets).toContain('packages/bus/src/main.js')
})

test('CX12: a configuration names what the file that it extends names, for its own folder', () => {
  const { moduleNames } = readConfiguration(
    filesOf({
      'web/tsconfig.json': '{ "extends": ["./config/names", "../tsconfig.base.json", "@tsconfig/node"] }',
      'web/config/names.json': '{ "compilerOptions": { "paths": { "@srv/*": ["../src/server/*"] } } }',
      'tsconfig.base.json': '{ "compilerOptions": { "paths": { "@lib/*": ["lib/*"] } } }',
    }),
  )
  expect(moduleNames.map(({ folder, name, targets }) => [folder, name, targets[0]])).toEqual([
    ['', '@lib/*', 'lib/*'],
    ['web', '@srv/*', 'web/src/server/*'],
  ])
})

test('QW1: Python finds what a project takes by its path or its workspace, and what PYTHONPATH names', () => {
  const { moduleNames } = readConfiguration(
    filesOf({
      'apps/a/pyproject.toml':
        '[project]\nname = "a"\ndependencies = ["httpx"]\n[tool.poetry.dependencies]\nbase = {path = "../../libs/base", develop = true}\n[tool.uv.sources]\nother_lib = { workspace = true }\ngone = { workspace = true }\n',
      'libs/other/pyproject.toml': '[project]\nname = "other-lib"\n',
      'jobs/requirements.txt': 'redis==5\n-e ../libs/base\n# ../libs/none\nbase @ file:../libs/third\n-e .\n',
      'jobs/Dockerfile': 'FROM python\nENV A=1 PYTHONPATH="/srv/libs/base:/srv:/srv/away:$PYTHONPATH"\n',
      'libs/base/core/__init__.py': '',
    }),
  )
  expect(moduleNames.map(({ folder, targets, language }) => [folder, targets[0], language])).toEqual([
    ['apps/a', 'libs/base/*', 'python'],
    ['apps/a', 'libs/other/*', 'python'],
    ['', 'libs/base/*', 'python'],
    ['jobs', 'libs/base/*', 'python'],
    ['jobs', 'libs/third/*', 'python'],
  ])
})

test('QJ21: fields of Mongoose are read whole, however deep what is said of them goes', () => {
  const text = `const userSchema = new Schema({
  name: String,
  mail: { type: String, match: /^[a-z]{2,9}$/, validate: { validator: (m) => { return m } }, unique: true },
  tags: [String],
})
module.exports = model('User', userSchema)`
  expect(readMongoose('m.js', text)).toMatchObject([
    { table: 'user', columns: ['name', 'mail', 'tags'], unique: [['mail']] },
  ])
})
