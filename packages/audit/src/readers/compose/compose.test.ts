import { describe, expect, test } from 'vitest'
import type { ComposeProject } from '../../repository/configuration.ts'
import { filesOf } from '../../repository/repository.fixture.ts'
import { interpolate, variableUses } from '../interpolation.ts'
import { readComposeProjects } from './read.ts'

const read = (texts: Record<string, string>) => readComposeProjects(filesOf(texts))
const only = (texts: Record<string, string>): ComposeProject => {
  const [first, ...more] = read(texts)
  expect(more).toEqual([])
  expect(first).toBeDefined()
  return first as ComposeProject
}
const $ = (inside: string) => `\u0024{${inside}}`

describe('interpolation', () => {
  const values: Record<string, string> = { SET: 'v', EMPTY: '' }
  const cases: readonly (readonly [raw: string, text: string, unset: readonly string[]])[] = [
    [$('SET'), 'v', []],
    ['$SET/x', 'v/x', []],
    [$('NONE'), '', ['NONE']],
    [$('EMPTY'), '', []],
    [$('NONE:-d'), 'd', []],
    [$('EMPTY:-d'), 'd', []],
    [$('EMPTY-d'), '', []],
    [$('NONE-d'), 'd', []],
    [$('SET:-d'), 'v', []],
    [$('NONE:?say it'), '', []],
    [$('SET?e'), 'v', []],
    [$('SET:+r'), 'r', []],
    [$('EMPTY:+r'), '', []],
    [$('EMPTY+r'), 'r', []],
    [$('NONE+r'), '', []],
    [$(`NONE:-${$('SET:-x')}`), 'v', []],
    [$(`NONE:-a${$('ALSO')}b`), 'ab', ['ALSO']],
    ['$$SET', '$SET', []],
    ['a$$$SET', 'a$v', []],
    [`$${$('SET')}`, `$${'{SET}'}`.replace('$$', '$'), []],
    ['${open', '${open', []],
    ['100$', '100$', []],
    ['$1', '$1', []],
  ]
  test.each(cases)('CX2: %s gives %s', (raw, text, unset) => {
    expect(interpolate(raw, (name) => values[name])).toEqual({ text, unset })
  })

  test('CX2: every use is known, those in words of others too, and a long or endless nest costs no more than its length', () => {
    expect(variableUses($(`A:-${$('B-c')}`)).map(({ name, operator }) => name + operator)).toEqual(['A:-', 'B-'])
    const nest = `${'${A:-'.repeat(2_000)}x${'}'.repeat(2_000)}`
    expect(interpolate(nest, () => undefined).text.length).toBeLessThan(nest.length + 1)
    expect(interpolate('${'.repeat(100_000), () => undefined).text).toHaveLength(200_000)
  })
})

describe('projects', () => {
  test.each([
    ['local.yml', 'services:\n  db: {image: "db:1"}\n  web: {build: .}\nvolumes: {data: {}}\n', 1],
    ['compose/orders.yaml', "version: '3'\n\nservices:\n\n  db:\n    image: db:1\n", 1],
    ['values.yaml', 'services:\n  db: {image: "db:1"}\nreplicas: 2\n', 0],
    ['config/services.yaml', 'services:\n  _defaults: {autowire: true}\n', 0],
    ['ci.yml', 'services:\n  - postgres:15\n', 0],
    ['.github/workflows/a.yml', 'services:\n  db: {image: "db:1"}\n', 0],
  ])('CX13: %s of %j is %j projects', (file, text, expected) => {
    expect(read({ [file]: text })).toHaveLength(expected)
  })

  test('CX13: a file of another name that is drawn in is no project of its own', () => {
    const db = 'services:\n  db: {image: "db:1"}\n'
    const found = read({
      'parts/db.yml': db,
      'compose.yml': 'include: [parts/db.yml]\nservices:\n  a: {image: "a:1"}\n',
    })
    expect(found.map(({ file }) => file)).toEqual(['compose.yml'])
  })

  test('CX14: a file that waits for what the standard file defines is laid over it', () => {
    const over = 'services:\n  a: {image: "a:1", depends_on: {db: {condition: service_healthy}}}\n'
    const [merged] = read({ 'compose.prod.yml': over, 'compose.yml': 'services:\n  db: {image: "db:1"}\n' })
    expect([...(merged?.services.keys() ?? [])]).toEqual(['db', 'a'])
  })

  test('CX4: a list of dependencies over the long form stands where it was written', () => {
    const over = 'services:\n  a:\n    depends_on: [b]\n'
    const base = 'services:\n  a: {image: "a:1", depends_on: {b: {condition: service_healthy}}}\n  b: {image: "b:1"}\n'
    const [merged] = read({ 'compose.more.yml': over, 'compose.yml': base })
    expect(merged?.services.get('a')?.shortDependsOn).toMatchObject({ file: 'compose.more.yml', line: 3 })
  })

  test('CX4: an override is laid over its base by key, list and target', () => {
    const [base, merged] = read({
      'compose.yaml': `services:
  web:
    image: web:1
    command: [a, b]
    environment: [A=1, B=2]
    ports: ["80:80"]
    volumes: ["./a:/data", "b:/b"]
    depends_on: [db]
    healthcheck: {test: [CMD, one], interval: 5s}
  db: {image: "db:1"}
`,
      'compose.override.yaml': `services:
  web:
    command: c
    environment: {B: "3", C: "4"}
    ports: ["80:80", "81:81"]
    volumes: ["./other:/data"]
    healthcheck: {test: [CMD, two]}
`,
    }).toSorted((a, b) => a.files.length - b.files.length)
    const web = merged?.services.get('web')
    expect([...(web?.environment ?? [])].map(([name, { value }]) => name + value)).toEqual(['A1', 'B3', 'C4'])
    expect(web?.environment.get('B')?.loc).toMatchObject({ file: 'compose.override.yaml', line: 4 })
    expect(web?.command?.value).toBe('c')
    expect(web?.healthcheck?.test).toBe('CMD two')
    expect(web?.ports.map(({ value }) => value)).toEqual(['80:80', '81:81'])
    expect(web?.volumes.map(({ value }) => value)).toEqual(['./other:/data', 'b:/b'])
    expect(web?.shortDependsOn).toMatchObject({ file: 'compose.yaml', line: 8 })
    expect(base?.services.get('web')?.command?.value).toBe('a b')
  })

  test('CX7: a base says that it is overridden, a fragment beside it is merged, and a file alone is a project', () => {
    const projects = read({
      'docker-compose.yml': 'services: {web: {image: "web:1"}}',
      'docker-compose.override.yml': 'services: {web: {image: "web:dev"}}',
      'docker-compose.prod.yml': 'services: {web: {restart: always}}',
      'docker-compose.tools.yml': 'services: {tool: {image: "tool:1"}}',
    })
    expect(projects.map(({ files, isOverridden }) => `${files.join('+')} ${isOverridden}`).toSorted()).toEqual([
      'docker-compose.tools.yml false',
      'docker-compose.yml true',
      'docker-compose.yml+docker-compose.override.yml false',
      'docker-compose.yml+docker-compose.prod.yml false',
    ])
  })

  test('CX5: reset takes away and override replaces whole', () => {
    const merged = read({
      'compose.yml':
        'services: {web: {image: "web:1", ports: ["1:1"], environment: {A: "1"}, dns: ["1.1.1.1"], profiles: [p]}}',
      'compose.override.yml':
        'services: {web: {ports: !override ["2:2"], environment: !reset null, profiles: !reset []}}',
    }).find(({ files }) => files.length === 2)
    expect(merged?.services.get('web')?.ports.map(({ value }) => value)).toEqual(['2:2'])
    expect(merged?.services.get('web')?.environment.size).toBe(0)
    expect(merged?.services.get('web')?.profiles).toEqual([])
  })

  test('CX6: includes and extensions are read, and those that lead nowhere or round are problems with their line', () => {
    const project = only({
      'compose.yml': `include: [parts/redis.yaml, gone.yaml]
services:
  web:
    extends: {file: base/common.yaml, service: app}
    env_file: missing.env
  round: {extends: {service: circle}, image: "a:1"}
  circle: {extends: {service: round}, image: "a:1"}
`,
      'parts/redis.yaml': 'include: [../compose.yml]\nservices: {redis: {image: "redis:7"}}',
      'base/common.yaml': 'services: {app: {image: "app:1", restart: always, build: ./src}}',
    })
    expect([...project.services.keys()].toSorted()).toEqual(['circle', 'redis', 'round', 'web'])
    expect(project.services.get('web')).toMatchObject({ image: { value: 'app:1' }, restart: { value: 'always' } })
    // What was written in another file is relative to that file.
    expect(project.services.get('web')?.build?.context.loc.file).toBe('base/common.yaml')
    const said = project.problems.map(({ value, loc }) => `${loc.file}:${loc.line} ${value}`).join('\n')
    expect(said).toMatch(/compose.yml:1 it includes gone.yaml/)
    expect(said).toMatch(/parts\/redis.yaml:1 .*includes it again/)
    expect(said).toMatch(/compose.yml:[67] .*extends it again/)
    expect(said).toMatch(/compose.yml:5 the env file missing.env/)
  })

  test('CX1, CX6: broken, bomb-like and very deep files give a problem, not a throw', () => {
    const bomb = ['a0: &a0 [x, x]', ...Array.from({ length: 40 }, (_, n) => `a${n + 1}: &a${n + 1} [*a${n}, *a${n}]`)]
    const deep = `services: ${'{a: '.repeat(5_000)}${'}'.repeat(5_000)}`
    for (const text of [`${bomb.join('\n')}\nservices: {web: {image: a, x: *a40}}`, deep]) {
      const [project] = read({ 'compose.yml': text })
      expect(project?.problems.length).toBeGreaterThan(0)
    }
    expect(read({ 'compose.yml': 'services:\n  web:\n    image: "a:1\n' })[0]?.problems).not.toEqual([])
    const nested = `services: {web: {image: a, x: ${'['.repeat(80)}${']'.repeat(80)}}}`
    expect(read({ 'compose.yml': nested })[0]?.problems.map(({ value }) => value)).toEqual(['it is nested too deep'])
    expect(read({ 'compose.yml': 'a: &a [*a]\nservices: {}' })[0]?.problems).toHaveLength(1)
    expect(read({ 'compose.yml': '' })).toEqual([])
  })

  test('CX1: anchors and merge keys are resolved, `no` stays a text, and values know their lines', () => {
    const { services, unset } = only({
      '.env': 'TAG=9\n',
      'compose.yml': `x-base: &base
  restart: no
  environment: &env
    A: 1.10
services:
  web:
    <<: *base
    image: web:${$('TAG')}
    environment:
      <<: *env
      B: ${$('NOWHERE')}
    ports:
      - "127.0.0.1:8080:80"
      - 443
      - {target: 5432, published: "5433"}
`,
    })
    const web = services.get('web')
    expect(web?.restart?.value).toBe('no')
    expect(web?.image).toMatchObject({ value: 'web:9', raw: `web:${$('TAG')}`, loc: { line: 8 } })
    expect([...(web?.environment.keys() ?? [])].toSorted()).toEqual(['A', 'B'])
    expect(web?.environment.get('A')?.value).toBe('1.10')
    expect(unset).toMatchObject([{ value: 'NOWHERE', loc: { line: 11 } }])
    expect(web?.ports.map(({ host, published, container }) => [host, published, container])).toEqual([
      ['127.0.0.1', '8080', '80'],
      [undefined, undefined, '443'],
      [undefined, '5433', '5432'],
    ])
  })
})
