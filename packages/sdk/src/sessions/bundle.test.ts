// What a browser loads for `@ripstop/sdk/sessions`: the import graph, types left out, as a bundler follows it.

import { existsSync, readFileSync } from 'node:fs'
import { stripTypeScriptTypes } from 'node:module'
import { dirname, join, relative } from 'node:path'
import { expect, test } from 'vitest'

const PACKAGES = join(import.meta.dirname, '..', '..', '..')

interface Manifest {
  readonly exports: Readonly<Record<string, string>>
  readonly sideEffects: boolean | readonly string[]
}

const manifestOf = (name: string): Manifest =>
  JSON.parse(readFileSync(join(PACKAGES, name, 'package.json'), 'utf8')) as Manifest

interface Load {
  readonly specifier: string
  /** Only for its effect: nothing is named. */
  readonly isBare: boolean
}

function loadsOf(path: string): readonly Load[] {
  // Erased in place by Node itself: what remains is what runs.
  const code = stripTypeScriptTypes(readFileSync(path, 'utf8')).replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '')
  const named = [...code.matchAll(/^\s*(?:import|export)\s([^;'"]*?)\sfrom\s*['"]([^'"]+)['"]/gm)]
  return [
    // Names that are all types leave empty braces.
    ...named
      .filter(([, names = '']) => names.replace(/[{},\s]/g, '') !== '')
      .map(([, , specifier = '']) => ({ specifier, isBare: false })),
    ...[...code.matchAll(/^\s*import\s*['"]([^'"]+)['"]/gm)].map(([, specifier = '']) => ({ specifier, isBare: true })),
    ...[...code.matchAll(/\bimport\s*\(\s*['"]([^'"]+)['"]/g)].map(([, specifier = '']) => ({
      specifier,
      isBare: false,
    })),
  ]
}

function resolve(from: string, specifier: string): string | undefined {
  if (specifier.startsWith('.')) return join(dirname(from), specifier)
  const [, name, door] = /^@ripstop\/([\w-]+)(\/.+)?$/.exec(specifier) ?? []
  if (name === undefined) return undefined
  const file = manifestOf(name).exports[`.${door ?? ''}`]
  return file === undefined ? undefined : join(PACKAGES, name, file)
}

function walk() {
  const files = new Set<string>()
  const foreign = new Set<string>()
  const doors = new Set<string>()
  const bare: { readonly from: string; readonly to: string }[] = []
  const visit = (path: string): void => {
    if (files.has(path)) return
    files.add(path)
    for (const { specifier, isBare } of loadsOf(path)) {
      const target = resolve(path, specifier)
      if (target === undefined) {
        foreign.add(specifier)
        continue
      }
      expect(existsSync(target), `${path} loads ${specifier}`).toBe(true)
      if (!specifier.startsWith('.')) doors.add(specifier)
      if (isBare) bare.push({ from: relative(PACKAGES, path), to: relative(PACKAGES, target) })
      visit(target)
    }
  }
  visit(join(PACKAGES, 'sdk', manifestOf('sdk').exports['./sessions'] ?? ''))
  return { files: [...files].map((path) => relative(PACKAGES, path)), foreign, doors, bare }
}

test('it loads the protocol’s pure parts and the kernel’s root: no zod, nothing of Node', () => {
  const { files, foreign, doors } = walk()
  expect([...foreign]).toEqual([])
  expect([...doors].sort()).toEqual([
    '@ripstop/kernel',
    '@ripstop/protocol/codes',
    '@ripstop/protocol/sessions',
    '@ripstop/protocol/time-sync',
  ])
  expect(files).toContain('protocol/src/sessions/decide.ts') // else the walk is blind
  expect(files.filter((path) => path.startsWith('kernel/src/adapters/') || path.includes('sdk/src/webhooks'))).toEqual(
    [],
  )
})

test('what is imported for its effect survives bundlers: its package says so, and a file that stays in imports it', () => {
  const { bare } = walk()
  expect(bare).toContainEqual({ from: 'protocol/src/sessions/decide.ts', to: 'protocol/src/codes.ts' })
  expect(bare).toContainEqual({ from: 'sdk/src/sessions/refusal.ts', to: 'protocol/src/codes.ts' })
  for (const { to } of bare) {
    const [name = ''] = to.split('/')
    const { sideEffects } = manifestOf(name)
    expect(Array.isArray(sideEffects) && sideEffects.includes(`./${to.slice(name.length + 1)}`), to).toBe(true)
  }
})
