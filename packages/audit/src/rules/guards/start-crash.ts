// Modules that can't be loaded: a name is imported that its module does not define, or a function is used as a decorator that takes more than what it decorates.
//   GD7. An import is found only where its module is a file of the repository that defines names in no way that is not seen, and the import is not tried.
//   GD8. A decorator is found only where the function that it names is known to need more than one argument.

import type { FileFacts } from '../../facts/facts.ts'
import { type IndexedFile, type Program, programOf } from '../../program/index.ts'
import { folderOf } from '../../repository/paths.ts'
import type { Repository } from '../../repository/repository.ts'
import { seenAt } from '../queries.ts'
import type { Discovery, Rule } from '../rule.ts'
import { isLoaded } from './reach.ts'

/** Functions of libraries that take two arguments, by where they are imported from. */
const TWO_ARGUMENTS: ReadonlySet<string> = new Set(['import:slowapi#_rate_limit_exceeded_handler'])

export const startCrash: Rule = {
  meta: {
    id: 'start-crash',
    category: 'guards',
    severity: 'high',
    title: 'A module that can not be loaded',
    why: 'The process ends before it listens. A restart policy starts it again, for ever, and nothing of it ever works.',
    remedies: [
      { priority: 'P0', text: 'Mend the line, and let continuous integration start the program once.', effort: 'XS' },
    ],
    sources: ['Python: ImportError', 'Python: function definitions, decorators'],
  },
  *run(repository: Repository): Iterable<Discovery> {
    const program = programOf(repository.facts)
    for (const path of program.files) {
      const file = path.endsWith('.py') ? program.file(path) : undefined
      if (file === undefined) continue
      yield* decorators(program, path, file)
      yield* imports(repository, program, path, file)
    }
  },
}

/** GD7. */
function* imports(repository: Repository, program: Program, path: string, { facts }: IndexedFile): Iterable<Discovery> {
  for (const { module, imported, line } of facts.imports) {
    // A plain name may as well be an installed package; a path of packages is the repository's own.
    if (imported === '*' || imported === '' || !module.includes('.')) continue
    const target = program.module(path, module)
    if (!isLoaded(repository, path)) return
    if (target === undefined || target === path || isDefined(program, target, imported)) continue
    if (program.module(path, module.endsWith('.') ? `${module}${imported}` : `${module}.${imported}`) !== undefined)
      continue
    const text = repository.files.read(target)
    if (text === undefined || text.includes(imported) || isConditional(facts, line)) continue
    // A module beside it that is no source here: a test, something compiled.
    const beside = `${folderOf(target)}/${imported}`
    if (['', '.py', '.pyi', '.pyx', '.so'].some((ending) => repository.files.has(`${beside}${ending}`))) continue
    yield {
      tier: 'strong',
      evidence: [
        seenAt(path, { line, endLine: line }, `${imported} is imported from ${target}, which has nothing of that name`),
      ],
      cause: `imports of ${path}`,
      symbol: imported,
      symptom: 'ImportError wherever this module is loaded: what needs it does not start.',
      rootCause: `${target} does not say the name ${imported} anywhere.`,
    }
  }
}

function isDefined(program: Program, path: string, name: string): boolean {
  const file = program.file(path)
  if (file === undefined || file.facts.brokenAt !== undefined || file.functions.has('__getattr__')) return true
  const isHere = file.functions.has(name) || file.classes.has(name) || file.writes(-1, name).length > 0
  return isHere || file.facts.imports.some(({ local, imported }) => local === name || imported === '*')
}

/** In a function, a branch or something tried: it may never run, or be expected to fail. */
function isConditional({ blocks }: FileFacts, line: number): boolean {
  return blocks.some((block) => block.kind !== 'module' && block.line <= line && block.endLine >= line)
}

/** GD8. */
function* decorators(program: Program, path: string, file: IndexedFile): Iterable<Discovery> {
  for (const { fn, name } of file.facts.blocks) {
    for (const decorator of fn?.decorators ?? []) {
      const { callee, args, named, line, endLine } = decorator
      // A call gives a decorator; only a bare name is called with the function itself.
      if (args.length > 0 || named.length > 0) continue
      if (!TWO_ARGUMENTS.has(callee.root) && !needsMore(program, path, decorator)) continue
      if (file.facts.calls.some((call) => call.line === line && call.callee.text === callee.text)) continue
      yield {
        tier: 'strong',
        evidence: [
          seenAt(path, { line, endLine }, `${callee.text} needs two arguments, and is given ${name || 'one'}`),
        ],
        symbol: name,
        symptom: 'TypeError when this is run: at the latest when the application is put together at its start.',
        rootCause: `${callee.text} is no decorator: it takes more than the function that stands below it.`,
      }
    }
  }
}

function needsMore(program: Program, path: string, decorator: FileFacts['calls'][number]): boolean {
  const target = program.target({ file: path, call: decorator })
  const own = target === undefined ? undefined : program.file(target.file)
  const block = target === undefined ? undefined : own?.facts.blocks[target.block]
  const fn = block?.fn
  if (
    target === undefined ||
    own === undefined ||
    fn === undefined ||
    fn.kind !== 'function' ||
    fn.decorators.length > 0
  )
    return false
  const optional = new Set(
    own.facts.assignments
      .filter(
        ({ block: at, isDeclaration, target: { root } }) => at === target.block && isDeclaration && root === 'param',
      )
      .map(({ target: { text } }) => text),
  )
  // `*args` and names after it are not told apart from others.
  const text = fn.params.join(',')
  if (/args|kwargs|func|decorat/i.test(text)) return false
  return fn.params.filter((param) => !optional.has(param)).length > 1
}
