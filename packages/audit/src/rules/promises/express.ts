// Express: its routers, and whether the version that a file runs with hands rejections of handlers on (5 does, 4 drops them).

import type { Call } from '../../facts/facts.ts'
import type { IndexedFile, Program } from '../../program/index.ts'
import type { Repository } from '../../repository/repository.ts'

/** Whether a call is one of an application or a router of Express. */
export function isRouter(program: Program, { facts }: IndexedFile, call: Call): boolean {
  const { callee } = call
  const receiver = callee.text.slice(0, callee.text.lastIndexOf('.'))
  if (receiver === '' || receiver === '()') return false
  const made = program.created(facts.file, { ...callee, text: receiver }, call.block)
  if (made === undefined) return false
  const { text, root } = made.call.callee
  return root === 'import:express' ? /^\w+(\.Router)?$/.test(text) : root === 'import:express#Router'
}

const KEPT = new WeakMap<Repository, Map<string, boolean>>()

/** PM4. By the nearest package.json that names Express; false where none does, or where something patches it. */
export function dropsRejections(repository: Repository, file: string): boolean {
  const kept = KEPT.get(repository) ?? new Map<string, boolean>()
  KEPT.set(repository, kept)
  const folder = file.slice(0, Math.max(0, file.lastIndexOf('/')))
  const known = kept.get(folder)
  if (known !== undefined) return known
  const manifests = repository.configuration.manifests
    .filter(({ file: of, language }) => language === 'javascript' && isAbove(of, file))
    .sort((a, b) => b.file.length - a.file.length)
  const versions = manifests.map(({ dependencies }) => dependencies.get('express')?.value)
  const version = versions.find((each) => each !== undefined)
  const isPatched = manifests.some(
    ({ dependencies }) => dependencies.has('express-async-errors') || dependencies.has('express-promise-router'),
  )
  const found = version !== undefined && /^\D{0,2}[1-4](\.|$)/.test(version) && !isPatched
  kept.set(folder, found)
  return found
}

function isAbove(manifest: string, file: string): boolean {
  const slash = manifest.lastIndexOf('/')
  return slash === -1 || file.startsWith(manifest.slice(0, slash + 1))
}
