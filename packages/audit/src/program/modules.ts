// Modules. Which file of the repository an import means: of TypeScript and JavaScript relative paths, with and without extension, folders by their index, and
// `@/` by the nearest `src`; of Python relative dots, and packages from any folder above the importing file. What is installed stays unresolved.

const EXTENSIONS = ['.ts', '.tsx', '.mts', '.cts', '.js', '.jsx', '.mjs', '.cjs']

export function resolveModule(has: (path: string) => boolean, file: string, module: string): string | undefined {
  return file.endsWith('.py') || file.endsWith('.pyi') ? ofPython(has, file, module) : ofTypeScript(has, file, module)
}

function folderOf(file: string): string {
  const slash = file.lastIndexOf('/')
  return slash === -1 ? '' : file.slice(0, slash)
}

function join(folder: string, path: string): string | undefined {
  const parts = folder === '' ? [] : folder.split('/')
  for (const part of path.split('/')) {
    if (part === '' || part === '.') continue
    if (part !== '..') parts.push(part)
    else if (parts.pop() === undefined) return undefined
  }
  return parts.join('/')
}

/** The folder of a file and those above it; the nearest first. */
function* above(file: string): Iterable<string> {
  for (let folder = folderOf(file); ; folder = folderOf(folder)) {
    yield folder
    if (folder === '') return
  }
}

function ofTypeScript(has: (path: string) => boolean, file: string, module: string): string | undefined {
  if (module.startsWith('.')) return withExtension(has, join(folderOf(file), module))
  const alias = /^[@~]\/(.+)$/.exec(module)?.[1]
  if (alias === undefined) return undefined
  for (const folder of above(file)) {
    const found = withExtension(has, join(folder, `src/${alias}`)) ?? withExtension(has, join(folder, alias))
    if (found !== undefined) return found
  }
  return undefined
}

function withExtension(has: (path: string) => boolean, path: string | undefined): string | undefined {
  if (path === undefined) return undefined
  if (has(path)) return path
  const stem = path.replace(/\.[cm]?jsx?$/, '')
  for (const base of stem === path ? [path] : [path, stem])
    for (const extension of EXTENSIONS) if (has(base + extension)) return base + extension
  for (const extension of EXTENSIONS) if (has(`${path}/index${extension}`)) return `${path}/index${extension}`
  return undefined
}

function ofPython(has: (path: string) => boolean, file: string, module: string): string | undefined {
  const dots = /^\.*/.exec(module)?.[0].length ?? 0
  const path = module.slice(dots).replaceAll('.', '/')
  if (dots > 0) return asPython(has, join(folderOf(file), `${'../'.repeat(dots - 1)}${path}`))
  for (const folder of above(file)) {
    const found = asPython(has, join(folder, path)) ?? asPython(has, join(folder, `src/${path}`))
    if (found !== undefined && found !== file) return found
  }
  return undefined
}

function asPython(has: (path: string) => boolean, path: string | undefined): string | undefined {
  if (path === undefined) return undefined
  for (const candidate of [`${path}.py`, path === '' ? '__init__.py' : `${path}/__init__.py`])
    if (has(candidate)) return candidate
  return undefined
}
