// Manifests of packages with the lockfile that stands beside them, or above them in a workspace.
//   CX8. Every dependency has its line, and a broken manifest gives what its lines say.

import type { Located, Manifest } from '../repository/configuration.ts'
import { folderOf, join, nameOf } from '../repository/paths.ts'
import type { FileIndex } from '../repository/repository.ts'
import { attempt, type Tell } from './attempt.ts'
import { entriesOf, readYaml, scalarText } from './yaml.ts'

const FILES_MAX = 2_000
const JAVASCRIPT_LOCKS = [
  'package-lock.json',
  'npm-shrinkwrap.json',
  'yarn.lock',
  'pnpm-lock.yaml',
  'bun.lockb',
  'bun.lock',
]
const PYTHON_LOCKS = ['poetry.lock', 'uv.lock', 'Pipfile.lock', 'pdm.lock', 'requirements.lock']

export function readManifests(files: FileIndex, tell: Tell = () => {}): readonly Manifest[] {
  return files
    .list()
    .filter((file) => files.role(file) !== 'vendored')
    .filter((file) => /^(package\.json|pyproject\.toml|requirements[\w.-]*\.txt)$/.test(nameOf(file)))
    .slice(0, FILES_MAX)
    .flatMap((file) => {
      const text = files.read(file)
      return text === undefined ? [] : (attempt(file, tell, () => [readManifest(file, text, files, tell)]) ?? [])
    })
}

export function readManifest(file: string, text: string, files: FileIndex, tell: Tell = () => {}): Manifest {
  const isJavascript = nameOf(file) === 'package.json'
  const lockfile = findLock(file, isJavascript ? JAVASCRIPT_LOCKS : PYTHON_LOCKS, files)
  if (isJavascript) return { file, language: 'javascript', lockfile, ...readPackageJson(file, text, tell) }
  const dependencies = nameOf(file) === 'pyproject.toml' ? readPyproject(file, text) : readRequirements(file, text)
  return { file, language: 'python', dependencies, lockfile, scripts: new Map() }
}

function findLock(file: string, names: readonly string[], files: FileIndex): string | undefined {
  for (let folder = folderOf(file); ; folder = folderOf(folder)) {
    const found = names.map((name) => join(folder, name)).find((path) => files.has(path))
    if (found !== undefined || folder === '') return found
  }
}

/** JSON is YAML, and so has lines. */
function readPackageJson(file: string, text: string, tell: Tell): Pick<Manifest, 'dependencies' | 'scripts'> {
  const { documents, problem } = readYaml(file, text.replace(/\t/g, '  '))
  if (problem !== undefined) tell(file, problem)
  const [tree] = documents
  const dependencies = new Map<string, Located<string>>()
  const scripts = new Map<string, Located<string>>()
  const top = entriesOf(tree)
  const read = (key: string, into: Map<string, Located<string>>) => {
    for (const [name, { loc, value }] of entriesOf(top.get(key)?.value))
      if (!into.has(name)) into.set(name, { value: scalarText(value) ?? '', loc })
  }
  for (const key of ['dependencies', 'devDependencies', 'optionalDependencies', 'peerDependencies'])
    read(key, dependencies)
  read('scripts', scripts)
  return { dependencies, scripts }
}

function readRequirements(file: string, text: string): ReadonlyMap<string, Located<string>> {
  const found = new Map<string, Located<string>>()
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    const match = /^\s*([A-Za-z0-9][\w.-]*)(?:\[[^\]]*\])?\s*([^#;]*)/.exec(line)
    if (match !== null)
      found.set(pythonName(match[1]), {
        value: (match[2] ?? '').trim(),
        loc: { file, line: index + 1, endLine: index + 1 },
      })
  }
  return found
}

/** `dependencies = [...]` of PEP 621 and tables of Poetry, line by line. */
function readPyproject(file: string, text: string): ReadonlyMap<string, Located<string>> {
  const found = new Map<string, Located<string>>()
  let table = ''
  let isInList = false
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    const loc = { file, line: index + 1, endLine: index + 1 }
    table = /^\s*\[+([^[\]"']+)\]+\s*(?:#.*)?$/.exec(line)?.[1]?.trim() ?? table
    const isDependencies = /^tool\.poetry(\.group\.[\w-]+)?\.(dev-)?dependencies$/.test(table)
    const pair = /^\s*"?([A-Za-z0-9][\w.-]*)"?\s*=\s*(.+)$/.exec(line)
    if (isDependencies && pair !== null) found.set(pythonName(pair[1]), { value: (pair[2] ?? '').trim(), loc })
    if (
      /^\s*[\w-]*dependencies\s*=\s*\[/.test(line) ||
      (/optional-dependencies|dependency-groups/.test(table) && /=\s*\[/.test(line))
    )
      isInList = true
    if (isInList) {
      for (const match of line.matchAll(/["']([A-Za-z0-9][\w.-]*)(?:\[[^\]]{0,200}\])?\s*([^"';]*)/g))
        found.set(pythonName(match[1]), { value: (match[2] ?? '').trim(), loc })
      if (/\][\s,]*(#.*)?$/.test(line)) isInList = false
    }
  }
  return found
}

function pythonName(name: string | undefined): string {
  return (name ?? '').toLowerCase().replace(/[_.]+/g, '-')
}
