import { expect, test } from 'vitest'
import { repositoryOf } from '../../repository/repository.fixture.ts'
import { documentsRules } from './index.ts'

/** Lines of the places of each finding, by page. */
function found(texts: Record<string, string>): string[] {
  return documentsRules.flatMap((rule) =>
    [...rule.run(repositoryOf(texts))].map(
      ({ evidence }) => `${evidence[0]?.loc?.file}:${evidence.map(({ loc }) => loc?.line).join(',')}`,
    ),
  )
}

const sh = (...lines: string[]) => `# Title\n\`\`\`bash\n${lines.join('\n')}\n\`\`\`\n`
const MANIFEST = {
  'package.json': '{"name": "x", "scripts": {"build": "tsc", "db:seed": "x"}, "engines": {"node": ">=22.1"}}',
}

test.each([
  ['a script', sh('npm run build', 'npm run lint:all'), ['README.md:4']],
  ['a script in prose', 'Run `pnpm run lint` now.\n', ['README.md:1']],
  ['said twice', sh('npm run lint', 'npm run lint'), ['README.md:3']],
  ['a target', sh('make up', 'make gone'), ['README.md:4']],
  ['a compose file', sh('docker compose -f compose.gone.yml up'), ['README.md:3']],
  ['a program', sh('python tools/gone.py --all', './scripts/gone.sh', 'pip install -r gone.txt'), ['README.md:3,4,5']],
])('DD1: what is not there: %s', (_name, readme, expected) => {
  expect(found({ ...MANIFEST, Makefile: 'up: build\n\tx\n', 'README.md': readme })).toEqual(expected)
})

test.each([
  ['scripts that are there', sh('npm run build', 'yarn run db:seed', 'npm install')],
  ['placeholders', sh('npm run <script>', 'python path/to/x.py', 'node your-app.js', 'python script_name.py')],
  ['what a command above makes', sh('curl -o get.sh https://a.io/x', 'bash get.sh', 'touch a.py', 'python a.py')],
  ['what is downloaded', 'See https://a.io/get/install.sh\n\n```\nbash install.sh\n```\n'],
  ['elsewhere', sh('cd /opt/other', './run.sh', 'python ../../x.py')],
  ['what is ignored', sh('source settings.own.sh')],
  ['another language', '```yaml\nmake: gone\n```\n'],
  ['warnings', sh('python gone.py # wrong: do not do this')],
  ['what an introduction refuses', `Never do this:\n\n${sh('python gone.py').split('\n').slice(1).join('\n')}`],
  ['listings', '```\nsrc/gone.ts   the core\n```\n'],
])('DD1: is silent: %s', (_name, readme) => {
  expect(found({ ...MANIFEST, '.gitignore': 'settings.own.sh\n', 'README.md': readme })).toEqual([])
})

test('DD1: plans, reports and the past are not read; makefiles with patterns say nothing', () => {
  const page = sh('npm run gone')
  for (const file of [
    'docs/plans/README.md',
    'CHANGELOG.md',
    'docs/archive/SETUP.md',
    'AUDIT_REPORT.md',
    'examples/README.md',
    'eval/test-cases/a/README.md',
  ])
    expect(found({ ...MANIFEST, [file]: page })).toEqual([])
  expect(found({ Makefile: '%-up:\n\tx\n', 'README.md': sh('make gone') })).toEqual([])
  expect(found({ ...MANIFEST, 'docs/setup.md': sh('git clone https://a.io/other.git', './gone.sh') })).toEqual([])
})

test.each([
  ['a container', 'docker exec -it shop-models pull x', ['README.md:3']],
  ['a service', 'docker compose --profile all run --rm worker pytest', ['README.md:3']],
  ['a service that is there', 'docker-compose -f compose.yml logs -f api', []],
  ['a container by its own name', 'docker logs shop_db', []],
  ['a container that compose names', 'docker exec shop-api-1 sh', []],
  ['what an option takes', 'docker logs --tail 100 api', []],
  ['a placeholder', 'docker logs your-container', []],
  ['an id', 'docker exec -it d02e27b58e5c sh', []],
  ['a service in a folder elsewhere', 'cd /srv/other\ndocker compose restart front', []],
  ['a service of another file', 'docker compose -f settings.own.yml restart front', []],
  ['what a script starts', 'docker restart bench', []],
  ['what the page starts', 'docker run --name alone img', []],
])('QW6: %s', (_name, line, expected) => {
  const started = line.includes('--name') ? ['docker logs alone'] : []
  expect(
    found({
      'compose.yml': 'services:\n  api: {image: a}\n  db: {image: b, container_name: shop_db}\n',
      'up.sh': 'docker run --name bench x\n',
      'README.md': sh(line, ...started),
      '.gitignore': 'settings.own.yml\n',
    }),
  ).toEqual(expected)
  expect(found({ '.gitignore': 'settings.own.yml\n', 'README.md': sh(line) })).toEqual([])
})

const env = (...lines: string[]) => `# Settings\n\`\`\`env\n${lines.join('\n')}\n\`\`\`\n`
const SOURCE = { 'src/a.ts': 'const a = process.env.APP_PORT\nconst b = settings.cache_size\n' }

test('QM18: what a command answers is for the shell of whoever reads', () => {
  const page = (line: string) => found({ ...SOURCE, 'README.md': env('APP_PORT=80', line) })
  expect(page('APP_GONE=$(cloud ask id)')).toEqual([])
  expect(page('APP_GONE=`cloud ask id`')).toEqual([])
  expect(page('APP_GONE=cloud')).toEqual(['README.md:4'])
})

test('DD2: variables that nothing knows, but not those of libraries, nor what ends in a field', () => {
  expect(found({ ...SOURCE, 'README.md': env('APP_PORT=80', 'APP_GONE=1', 'NODE_ENV=x') })).toEqual(['README.md:4'])
  expect(found({ ...SOURCE, 'README.md': env('APP_CACHE_SIZE=1', 'X_Y=1') })).toEqual(['README.md:4'])
  expect(found({ ...SOURCE, 'README.md': '| Name | What |\n|---|---|\n| `APP_GONE_URL` | x |\n' })).toEqual([
    'README.md:3',
  ])
  expect(found({ ...SOURCE, 'README.md': '| `APP_GONE` | a state |\n' })).toEqual([])
  expect(
    found({
      ...SOURCE,
      'compose.yml': 'services: {a: {image: a, environment: {APP_GONE: x}}}',
      'README.md': env('APP_GONE=1', 'A_B=1'),
    }),
  ).toEqual(['README.md:4'])
  expect(found({ ...SOURCE, 'README.md': sh('MY_NAME=x', 'run $MY_NAME', 'A_B=1 x') })).toEqual([])
})

const ROUTES = {
  'src/app.ts': `import express from 'express'\nconst app = express()\n${[
    '/api/a',
    '/api/a/:id',
    '/api/b',
    '/api/c',
    '/api/d',
  ]
    .map((path) => `app.get('${path}', f)`)
    .join('\n')}\n`,
}

test('DD3: routes that nothing answers, below what the service has', () => {
  const page = 'Use `GET /api/a/7`, `POST /api/a/{id}` or\n`GET /api/a/7/gone`.\n'
  expect(found({ ...ROUTES, 'API.md': page })).toEqual(['API.md:2'])
  expect(found({ ...ROUTES, 'API.md': sh('curl -X POST http://localhost:3000/api/a/x/gone -d {}') })).toEqual([
    'API.md:3',
  ])
  expect(found({ ...ROUTES, 'API.md': 'GET /elsewhere/gone\n' })).toEqual([])
  expect(found({ ...ROUTES, 'src/other.ts': "mount('/gone', g)", 'API.md': page })).toEqual([])
  const openapi = 'openapi: 3.0.0\npaths:\n  /api/a/{id}/gone:\n    get: {}\n'
  expect(found({ ...ROUTES, 'openapi.yaml': openapi, 'API.md': page })).toEqual([])
  expect(found({ ...ROUTES, 'far/main.go': 'package main', 'API.md': page })).toEqual([])
})

test('DD4: a version that the manifest refuses; higher ones and those of the pages themselves are silent', () => {
  const project = { ...MANIFEST, 'pyproject.toml': '[project]\nrequires-python = ">=3.11"\n' }
  expect(found({ ...project, 'README.md': '- Node.js 18+\n- Python 3.9 or higher\n' })).toEqual(['README.md:1,2'])
  expect(found({ ...project, 'README.md': '- Node.js 22+\n- Python 3.12+\n- Node 18 images\n' })).toEqual([])
  expect(found({ 'docs/package.json': MANIFEST['package.json'], 'docs/SETUP.md': 'Node 18+\n' })).toEqual([])
})

test.each([
  ['a list', '- `POOL_MAX`: how many (default: 5)\n', ['README.md:1']],
  ['a table', '| Name | Default |\n|---|---|\n| `POOL_MAX` | `5` |\n', ['README.md:3']],
  ['a constant', '- `RETRIES_MAX` is tried, default 5.\n', ['README.md:1']],
  ['the same', '- `POOL_MAX`: how many (default: 10)\n', []],
  ['a unit', '- `POOL_MAX`: how many (default: 5 minutes)\n', []],
  ['another column', '| Name | Example |\n|---|---|\n| `POOL_MAX` | `5` |\n', []],
  ['several defaults', '- `TWICE_MAX`: (default: 5)\n', []],
  ['none', '- `BARE_MAX`: (default: 5)\n', []],
])('OS4: a default: %s', (_name, readme, expected) => {
  const env = 'process.env'
  const source = {
    'src/a.ts': `const a = Number(${env}.POOL_MAX ?? '10')\nconst RETRIES_MAX = 3\nconst b = ${env}.TWICE_MAX ?? 1\n`,
    'src/b.ts': `const b = ${env}.TWICE_MAX ?? 2\nconst c = ${env}.BARE_MAX\n`,
  }
  expect(found({ ...source, 'README.md': readme })).toEqual(expected)
  const given = { '.env.example': 'POOL_MAX=5\nRETRIES_MAX=5\n' }
  expect(found({ ...source, ...given, 'README.md': readme })).toEqual([])
})
