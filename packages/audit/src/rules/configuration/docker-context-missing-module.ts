// Source that imports, at run time, what its image does not contain: it lies outside of the folders that the Dockerfile copies.
//   RX21. Only images are judged whose COPYs name folders of the context; a copy of the whole context can only miss what lies outside of it.
//   RX22. Imports of types are erased and bundled stages bring what they need: both are silent.

import type { FileFacts, Value } from '../../facts/facts.ts'
import type { Evidence } from '../../model/evidence.ts'
import type { Dockerfile } from '../../repository/configuration.ts'
import { folderOf, isBelow, join, resolveIn } from '../../repository/paths.ts'
import type { Repository } from '../../repository/repository.ts'
import { contextsOf, copied, imageStages, instructionsOf } from './builds.ts'
import { at, type Discovery, type Rule } from './deployment.ts'
import { seen } from './projects.ts'

const meta = at({
  id: 'docker-context-missing-module',
  severity: 'high',
  title: 'An image lacks a module that its source imports',
  why: 'It works from a checkout, where the folder beside it exists. In the image the import fails, at start or, where the failure is caught, silently.',
  remedy: {
    priority: 'P1',
    text: 'Build in the folder that holds both and copy both, or publish the shared module as a package.',
    effort: 'S',
  },
  sources: ['https://docs.docker.com/build/concepts/context/'],
})

export const dockerContextMissingModule: Rule = {
  meta,
  *run(repository) {
    for (const dockerfile of repository.configuration.dockerfiles) {
      const role = repository.files.role(dockerfile.file)
      if (role !== 'test' && role !== 'example') yield* check(repository, dockerfile)
    }
  },
}

function* check(repository: Repository, dockerfile: Dockerfile): Generator<Discovery> {
  const { folders, isKnown } = contextsOf(repository, dockerfile)
  const [context] = folders
  if (context === undefined || (isKnown && folders.length > 1)) return
  const stages = imageStages(dockerfile, undefined)
  const copies = copied(repository, instructionsOf(stages), context)
  const inside = copies.flatMap(({ paths }) => paths)
  for (const { instruction, paths } of copies) {
    const missing = [...repository.facts.values()]
      .filter(({ file }) => paths.some((path) => isBelow(file, path)) && repository.files.role(file) === 'source')
      .flatMap((facts) => missingOf(repository, facts, context, inside))
    if (missing.length === 0) continue
    yield {
      tier: isKnown ? 'strong' : 'review',
      symbol: dockerfile.file,
      symptom: 'In the image the import fails, and what it was for with it.',
      rootCause: 'The module lies outside of what the Dockerfile copies.',
      evidence: [
        seen(instruction.loc, 'What is copied here imports modules that no COPY brings.'),
        ...missing.slice(0, 20),
      ],
    }
  }
}

function missingOf(
  repository: Repository,
  facts: FileFacts,
  context: string,
  inside: readonly string[],
): readonly Evidence[] {
  const isMissing = (path: string) =>
    repository.files.has(path) && !inside.some((folder) => isBelow(path, folder) || isBelow(folder, path))
  const say = (line: number, path: string): Evidence => ({
    provenance: 'static',
    loc: { file: facts.file, line, endLine: line },
    what: `It needs ${path}, which ${isBelow(path, context) ? 'no COPY brings' : 'lies outside of the build context'}.`,
  })
  if (facts.language === 'python')
    return pythonPaths(facts)
      .filter(({ path }) => isMissing(path) && isUsed(repository, facts, path))
      .map(({ line, path }) => say(line, path))
  return facts.imports
    .filter(({ module, isTypeOnly }) => module.startsWith('.') && !isTypeOnly)
    .flatMap(({ module, line }) => {
      const target = resolveIn(folderOf(facts.file), module)
      if (typeof target === 'string') return []
      const found = ['', '.ts', '.tsx', '.js', '.mjs', '.cjs', '.json', '/index.ts', '/index.js'].map(
        (end) => `${target.path}${end}`,
      )
      const path = found.find((each) => repository.files.has(each) && repository.files.role(each) !== undefined)
      return path === undefined || !isMissing(path) ? [] : [say(line, path)]
    })
}

/** Does the file import something that lies in the folder? */
function isUsed({ files }: Repository, { imports }: FileFacts, folder: string): boolean {
  const names = imports.map(({ module }) => module.split('.', 1)[0] ?? '')
  return names.some((name) => name !== '' && (files.has(join(folder, `${name}.py`)) || files.has(join(folder, name))))
}

/** Folders that are put on the path relative to the file: `sys.path.append(os.path.join(os.path.dirname(__file__), '..', 'shared'))`. */
function pythonPaths({ file, calls }: FileFacts): readonly { readonly line: number; readonly path: string }[] {
  return calls.flatMap(({ callee, args, line }) => {
    if (!/^sys\.path\.(append|insert)$/.test(callee.text)) return []
    const path = relative(args.at(-1), calls, file, 0)
    return path === undefined ? [] : [{ line, path }]
  })
}

/** A folder that is computed from the place of the file; undefined: another way, or out of the repository. */
function relative(
  value: Value | undefined,
  calls: FileFacts['calls'],
  file: string,
  depth: number,
): string | undefined {
  if (value === undefined || depth > 8) return undefined
  if (value.kind === 'path') return value.path.text === '__file__' ? file : undefined
  const call = value.kind === 'call' ? calls[value.call] : undefined
  if (call === undefined) return undefined
  const [first, ...rest] = call.args
  const base = relative(first, calls, file, depth + 1)
  if (base === undefined) return undefined
  if (/(^|\.)(abspath|realpath|str|Path|normpath)$/.test(call.callee.text)) return base
  if (/(^|\.)dirname$/.test(call.callee.text)) return folderOf(base)
  if (!/(^|\.)join$/.test(call.callee.text)) return undefined
  const parts = rest.map((each) => (each.kind === 'string' ? each.value : undefined))
  if (parts.includes(undefined)) return undefined
  const target = resolveIn(base, join('.', parts.join('/')))
  return typeof target === 'string' ? undefined : target.path
}
