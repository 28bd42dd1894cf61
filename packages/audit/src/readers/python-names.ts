// Where Python finds what other folders of the repository hold: packages that a project takes by their path (Poetry, uv, requirements, `-e ../x`), members of its
// workspace, and the folders that PYTHONPATH names in an image or a compose file.
//   QW1. A folder is looked into only by those who say that they take it; an image's folders are those that end as its path does.

import type { ModuleName } from '../repository/configuration.ts'
import { folderOf, join, nameOf, resolveIn } from '../repository/paths.ts'
import type { FileIndex } from '../repository/repository.ts'

const FILES_MAX = 2_000
const FILE =
  /^(?:pyproject\.toml|requirements[\w.-]*\.(?:txt|in)|[\w.-]*(?:Dockerfile|dockerfile)[\w.-]*|[\w.-]*compose[\w.-]*\.ya?ml)$/

/** Names of files and folders relative to where they are written, of packages that are taken from there. */
const TAKEN = {
  'pyproject.toml': /\{[^{}\n]{0,200}?\bpath\s*=\s*["']([^"'\n]+)["']|@\s*(?:file:(?:\/\/\/?)?)?(\.\.?\/[^"'\s\]]+)/g,
  requirements: /^[ \t]*(?:-e[ \t]+|--editable[ \t=]+)?(?:[\w-]+[ \t]*@[ \t]*)?(?:file:)?(\.\.?\/[^\s;#[]+)/gm,
}
const OF_WORKSPACE = /^[ \t]*["']?([\w.-]+)["']?[ \t]*=[ \t]*\{[^{}\n]{0,80}\bworkspace[ \t]*=[ \t]*true/gm
const SEARCHED = /\bPYTHONPATH["']?[ \t]*[=:][ \t]*["']?([^\s"']+)/g

export function readPythonNames(files: FileIndex): readonly ModuleName[] {
  const paths = files.list().filter((file) => FILE.test(nameOf(file)) && files.role(file) !== 'vendored')
  const read = paths.slice(0, FILES_MAX).flatMap((file) => {
    const text = files.read(file)
    return text === undefined ? [] : [{ file, text }]
  })
  const projects = new Map<string, string>()
  for (const { file, text } of read) {
    const name = nameOf(file) === 'pyproject.toml' ? /^name\s*=\s*["']([\w.-]+)["']/m.exec(text)?.[1] : undefined
    if (name !== undefined) projects.set(plain(name), folderOf(file))
  }
  const found = new Map<string, ModuleName>()
  const add = (folder: string, root: string): void => {
    if (folder !== root)
      found.set(`${folder}\n${root}`, {
        folder,
        name: '*',
        targets: [join(root, '*'), join(root, 'src/*')],
        language: 'python',
      })
  }
  for (const { file, text } of read)
    for (const root of nameOf(file).startsWith('requirements') || nameOf(file) === 'pyproject.toml'
      ? rootsTaken(file, text, projects)
      : rootsSearched(file, text, files))
      add(root.folder, root.root)
  return [...found.values()]
}

interface Root {
  readonly folder: string
  readonly root: string
}

function rootsTaken(file: string, text: string, projects: ReadonlyMap<string, string>): readonly Root[] {
  const folder = folderOf(file)
  const pattern = nameOf(file) === 'pyproject.toml' ? TAKEN['pyproject.toml'] : TAKEN.requirements
  const byPath = [...text.matchAll(pattern)].flatMap(([, first, second]) => {
    const at = resolveIn(folder, first ?? second ?? '')
    return typeof at === 'string' ? [] : [{ folder, root: at.path }]
  })
  const byName = [...text.matchAll(OF_WORKSPACE)].flatMap(([, name]) => {
    const root = projects.get(plain(name ?? ''))
    return root === undefined ? [] : [{ folder, root }]
  })
  return [...byPath, ...byName]
}

/** QW1. `/app/libs/shared` is `libs/shared`, of the folder of the file or of one above it: what comes first is the image's own. */
function rootsSearched(file: string, text: string, files: FileIndex): readonly Root[] {
  return [...text.matchAll(SEARCHED)].flatMap(([, list = '']) =>
    list.split(':').flatMap((path): Root[] => {
      const inner = /^\/[^/$]+\/([^$]+?)\/*$/.exec(path)?.[1]
      if (inner === undefined || inner.includes('..')) return []
      for (let folder = folderOf(file); ; folder = folderOf(folder)) {
        if (files.has(join(folder, inner))) return [{ folder, root: join(folder, inner) }]
        if (folder === '') return []
      }
    }),
  )
}

function plain(name: string): string {
  return name.toLowerCase().replace(/[_.]+/g, '-')
}
