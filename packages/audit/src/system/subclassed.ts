// Clients by inheritance: a class of the repository that is a session or client of a library makes one whenever it is made.
//   QU8. Only where the class says nothing of a timeout: what its methods set is not followed, so then nothing is told of it.

import type { FileFacts, Path } from '../facts/facts.ts'
import { type Library, makerNamed } from '../knowledge/index.ts'
import type { CallSite, IndexedFile, Program } from '../program/index.ts'
import { fullName, importsLibrary } from './names.ts'

export interface Subclasses {
  /** The library whose client a call makes, through a class of the repository. */
  makerOf(site: CallSite): Library | undefined
}

export function findSubclasses(program: Program): Subclasses {
  const found = new Map<string, Library>()
  const names = new Set<string>()
  for (const path of program.files) {
    const file = path.endsWith('.py') ? program.file(path) : undefined
    if (file === undefined || file.facts.classes.length === 0 || !importsLibrary(file.facts)) continue
    for (const { block, name, bases } of file.facts.classes) {
      const library = bases.map((base) => makerOfBase(file, base)).find((each) => each !== undefined)
      if (library === undefined || speaksOfTimeouts(file, block)) continue
      found.set(`${path}\n${block}`, library)
      names.add(name)
    }
  }
  return {
    makerOf({ file, call: { callee } }) {
      if (!names.has(callee.text.slice(callee.text.lastIndexOf('.') + 1))) return undefined
      const made = program.classNamed(file, callee)
      return made === undefined ? undefined : found.get(`${made.file}\n${made.block}`)
    },
  }
}

function makerOfBase(file: IndexedFile, base: string): Library | undefined {
  const [first = ''] = base.split('.', 1)
  const from = file.facts.imports.find(({ local }) => local === first)
  if (from === undefined) return undefined
  const root = from.imported === '*' ? `import:${from.module}` : `import:${from.module}#${from.imported}`
  const path: Path = { text: base, isOwn: false, root }
  const name = fullName(file, path)
  return name === undefined ? undefined : makerNamed('python', name)
}

function speaksOfTimeouts({ facts, within }: IndexedFile, block: number): boolean {
  const isInside = (each: { readonly block: number }): boolean => within(each.block, block)
  const says = (value: unknown): boolean => /timeout/i.test(JSON.stringify(value))
  const { calls, assignments, blocks }: FileFacts = facts
  return (
    calls.some((call) => isInside(call) && says([call.args, call.named, call.callee.text])) ||
    assignments.some((each) => isInside(each) && says([each.target.text, each.value])) ||
    blocks.some(({ fn, parent }) => fn !== undefined && within(parent, block) && says(fn.params))
  )
}
