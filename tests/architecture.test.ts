// The architecture, as one test: who may import whom, where ambient things live, how long things may be, and that every
// declared invariant is named by a test. The tables (architecture-tables.ts) are the rules. KNOWN lists what breaks a rule
// today, to the letter; a row goes when its cause does, and none is added without a reason beside it.

import { join, posix } from 'node:path'
import { describe, expect, test } from 'vitest'
import { AMBIENT, IMPORTS, OUTPOSTS, SERVER, SERVER_CODES, SUPPORT, TABLES } from './architecture-tables.ts'
import { functionsOf, importsOf, linesMatching, readSources, type SourceFile } from './source-files.ts'

const ROOT = join(import.meta.dirname, '..')
const LINES_MAX = 400
const FUNCTION_LINES_MAX = 70
const DOOR_NAMES_MAX = 12

const KNOWN: Readonly<Record<string, readonly string[]>> = {}

function isHome(home: string, file: string): boolean {
  if (home.endsWith('.ts')) return home === file
  return file.startsWith(`${home}/`) && /^([\w-]+-)?store\.ts$/.test(file.slice(home.length + 1))
}

const sources = readSources(ROOT, ['packages', 'tests', 'scripts', 'examples', 'bench'], ['.ts', '.mjs'])
const tests = sources.filter(({ path }) => path.includes('.test.'))
const products = sources.filter(({ path }) => path.startsWith('packages/') && !isForTests(path))
const byPath = new Map(sources.map((source) => [source.path, source]))

function isForTests(path: string): boolean {
  return path.includes('.test.') || SUPPORT.some((pattern) => pattern.test(path))
}

/** Compares what breaks a rule with what is known to. */
function expectOnlyKnown(rule: string, violations: readonly string[]): void {
  expect([...new Set(violations)].sort(), rule).toEqual([...(KNOWN[rule] ?? [])].sort())
}

/** Where a relative specifier leads, from the root. */
function resolved(from: string, specifier: string): string {
  return posix.join(posix.dirname(from), specifier)
}

/** `packages/server/src/access/store.ts` belongs to `access`. */
function serverModuleOf(path: string): string | undefined {
  const inside = /^packages\/server\/src\/(.*)$/.exec(path)?.[1]
  if (inside === undefined) return undefined
  const [first = '', second = ''] = inside.split('/')
  return first === 'platform' && inside.split('/').length > 2 ? `platform/${second}` : first
}

describe('dependencies', () => {
  test('a package imports only what stands below it; the root of the kernel and protocol run in a browser', () => {
    const violations: string[] = []
    for (const source of products) {
      const allowed = IMPORTS.find(([area]) => area.test(source.path))?.[1] ?? []
      for (const { specifier } of importsOf(source)) {
        if (specifier.startsWith('.') || specifier.startsWith('#')) continue
        const name = specifier.startsWith('node:') ? 'node:' : specifier
        if (!allowed.includes(name)) violations.push(`${source.path}: ${specifier}`)
      }
    }
    expectOnlyKnown('package imports', violations)
  })

  test('the core of the kernel knows no adapter, and product code nothing that is for tests', () => {
    const violations: string[] = []
    for (const source of products) {
      for (const { specifier } of importsOf(source)) {
        if (!specifier.startsWith('.')) continue
        const target = resolved(source.path, specifier)
        if (isForTests(target)) violations.push(`${source.path}: ${specifier}`)
        const intoAdapters = target.startsWith('packages/kernel/src/adapters/')
        if (intoAdapters && !source.path.startsWith('packages/kernel/src/adapters/'))
          violations.push(`${source.path}: ${specifier}`)
      }
    }
    expectOnlyKnown('downwards', violations)
  })

  test('no path climbs out of its package, or two folders up; an adapter, a reader or a rule may, to its core', () => {
    const violations: string[] = []
    for (const source of products) {
      const home = source.path.split('/').slice(0, 2).join('/')
      for (const { specifier } of importsOf(source)) {
        if (!specifier.startsWith('.')) continue
        const [, core] = OUTPOSTS.find(([folder]) => source.path.startsWith(folder)) ?? []
        const toCore = core?.test(specifier) === true
        const climbs = specifier.startsWith('../../') && !toCore
        if (climbs || !resolved(source.path, specifier).startsWith(`${home}/`))
          violations.push(`${source.path}: ${specifier}`)
      }
    }
    expectOnlyKnown('climbing', violations)
  })

  test('a module of the server uses only the doors that its row of the table names', () => {
    const violations: string[] = []
    for (const source of products) {
      const from = serverModuleOf(source.path)
      if (from === undefined || from === 'platform') continue
      const allowed = SERVER[from]
      if (allowed === undefined) {
        violations.push(`${from} has no row`)
        continue
      }
      for (const { specifier } of importsOf(source)) {
        const door = specifier.startsWith('#') ? specifier.slice(1) : undefined
        if (specifier.startsWith('.') && resolved(source.path, specifier) === SERVER_CODES) continue
        const file = specifier.startsWith('.') ? serverModuleOf(resolved(source.path, specifier)) : undefined
        if (file !== undefined && file !== from && from !== 'main.ts')
          violations.push(`${source.path}: ${specifier} is no door`)
        const to = door ?? (file === from ? undefined : file)
        if (to !== undefined && !allowed.includes(to)) violations.push(`${from} may not use ${to}`)
        if (door === from) violations.push(`${source.path}: its own door`)
      }
    }
    expectOnlyKnown('doors', violations)
  })

  test('no files import each other in a circle; types count', () => {
    const edges = new Map(products.map((source) => [source.path, targetsOf(source)]))
    const circles: string[] = []
    const done = new Set<string>()
    const visit = (path: string, trail: readonly string[]): void => {
      if (trail.includes(path)) {
        circles.push([...trail.slice(trail.indexOf(path))].sort().join(' '))
        return
      }
      if (done.has(path)) return
      for (const target of edges.get(path) ?? []) visit(target, [...trail, path])
      done.add(path)
    }
    for (const path of edges.keys()) visit(path, [])
    expectOnlyKnown('circles', circles)
  })

  test('a door of the server names at most twelve things and holds nothing else', () => {
    const violations: string[] = []
    for (const source of products) {
      if (!/^packages\/server\/src\/(platform\/)?[\w-]+\/index\.ts$/.test(source.path)) continue
      const names = [...source.code.matchAll(/\{([^}]*)\}/g)].flatMap(([, list = '']) =>
        list.split(',').filter((name) => name.trim() !== ''),
      )
      if (names.length > DOOR_NAMES_MAX) violations.push(`${source.path}: ${names.length} names`)
      const statements = source.code
        .split('\n')
        .filter((line) => /^\S/.test(line) && !/^(export (type )?\{|\}|import ')/.test(line))
      if (statements.length > 0) violations.push(`${source.path}: more than named re-exports`)
    }
    expectOnlyKnown('doors are small', violations)
  })

  function targetsOf(source: SourceFile): string[] {
    return importsOf(source).flatMap(({ specifier }) => {
      const target = specifier.startsWith('#')
        ? `packages/server/src/${specifier.slice(1)}/index.ts`
        : resolved(source.path, specifier)
      return byPath.has(target) ? [target] : []
    })
  }
})

describe('ambient things live in their homes', () => {
  test.each(AMBIENT)('$what', ({ what, pattern, homes }) => {
    const violations = products
      .filter((source) => !homes.includes(source.path) && linesMatching(source, pattern).length > 0)
      .map(({ path }) => path)
    expectOnlyKnown(what, violations)
    for (const home of homes) expect(byPath.has(home), `${home} is gone: correct the table`).toBe(true)
  })
})

describe('dialect and size', () => {
  test('no default export, enum, namespace or module-level let', () => {
    const violations: string[] = []
    for (const source of products) {
      const forbidden =
        /\bexport default\b|^\s*(export )?(const )?enum \w|^\s*(export )?(declare )?namespace \w|^(export )?let \w/
      for (const line of linesMatching(source, forbidden)) violations.push(`${source.path}:${line}`)
    }
    expectOnlyKnown('dialect', violations)
  })

  test(`files have at most ${LINES_MAX} lines`, () => {
    expectOnlyKnown(
      'long files',
      sources.filter(({ lines }) => lines > LINES_MAX).map(({ path }) => path),
    )
  })

  test(`functions have at most ${FUNCTION_LINES_MAX} lines, and 95 of 100 fewer than 40`, () => {
    const code = sources.filter(({ path }) => !path.includes('.test.'))
    const spans = code.flatMap((source) => functionsOf(source).map((span) => ({ ...span, path: source.path })))
    const long = spans.filter(({ lines }) => lines > FUNCTION_LINES_MAX)
    expectOnlyKnown(
      'long functions',
      long.map(({ path, name }) => `${path}: ${name}`),
    )
    expect(spans.length).toBeGreaterThan(500) // else the scanner is blind
    expect(spans.filter(({ lines }) => lines < 40).length / spans.length).toBeGreaterThanOrEqual(0.95)
  })
})

test('a table is named in its home alone', () => {
  const migrations = readSources(ROOT, ['packages/server/migrations'], ['.sql'])
  const tables = migrations.flatMap(({ text }) =>
    [...text.matchAll(/create table (?:if not exists )?ripstop\.(\w+)(?! partition of)\b/gi)].map(
      (match) => match[1] as string,
    ),
  )
  expect(tables.length).toBeGreaterThan(3)
  const violations: string[] = []
  for (const table of tables) {
    const homes = TABLES[table]
    if (homes === undefined) violations.push(`${table} has no home`)
    for (const source of products) {
      if (!new RegExp(`\\bripstop\\.${table}\\b`).test(source.text)) continue
      const inside = source.path.replace('packages/server/src/', '')
      if (homes?.some((home) => isHome(home, inside)) !== true) violations.push(`${source.path}: ${table}`)
    }
  }
  expectOnlyKnown('tables', violations)
})

test('every declared invariant has an id of its own and is named by a test', () => {
  const declared = new Map<string, string[]>()
  for (const source of sources) {
    if (source.path.includes('.test.')) continue
    for (const match of source.comments.matchAll(/^\/\/ {3}([A-Z]{1,3}\d+)\. /gm)) {
      const id = match[1] as string
      declared.set(id, [...(declared.get(id) ?? []), source.path])
    }
  }
  const named = new Set<string>()
  for (const { text } of tests) {
    for (const match of text.matchAll(/['"`]((?:[A-Z]{1,3}\d+(?:, | and )?)+):/g)) {
      for (const id of (match[1] as string).split(/, | and /)) named.add(id)
    }
  }
  const violations: string[] = []
  for (const [id, paths] of declared) {
    if (paths.length > 1) violations.push(`${id} is declared twice: ${paths.join(' ')}`)
    if (!named.has(id)) violations.push(`${id} (${paths[0]}) is named by no test`)
  }
  expect(declared.size).toBeGreaterThan(25)
  expectOnlyKnown('invariants', violations)
})

test('no file names a package registry or a path of the machine it was written on', () => {
  // Written apart, so that this file does not name them either.
  const hosts = [
    ['registry', 'npm'],
    ['npmjs', 'org'],
    ['npmjs', 'com'],
    ['npm', 'mirror'],
    ['artifact', 'ory'],
  ]
  const paths = [
    ['/wo', 'rk/'],
    ['/ro', 'ot/'],
    ['\\.libr', 'ary/'],
    ['\\.\\./sha', 'red/'],
  ]
  const names = [...hosts.map(([one, two]) => `${one}\\.?${two}`), ...paths.map((parts) => parts.join(''))]
  const pattern = new RegExp(names.join('|'))
  const texts = readSources(
    ROOT,
    ['.'],
    ['.ts', '.mjs', '.js', '.json', '.md', '.yaml', '.yml', '.sql', '.html', '.sh'],
  )
  const guilty = texts.filter(({ path, text }) => path !== 'package-lock.json' && pattern.test(text))
  expectOnlyKnown(
    'machine',
    guilty.map(({ path }) => path),
  )
})
