// Imports of Python. `import a.b` binds a; `import a.b as c` binds all of a.b; dots before a module mean its own packages.

import type { Reader } from './reader.ts'
import { NAME } from './tokens.ts'

function readModule({ tokens }: Reader): string {
  let name = ''
  for (;;) {
    const text = tokens.texts[tokens.at] as string
    const isDots = text === '.' || text === '...'
    const isName = tokens.kinds[tokens.at] === NAME && text !== 'import' && text !== 'as'
    if (!isDots && (!isName || (name !== '' && !name.endsWith('.')))) return name
    name += text
    tokens.at++
  }
}

function alias({ tokens }: Reader): string | undefined {
  return tokens.take('as') && tokens.kinds[tokens.at] === NAME ? tokens.texts[tokens.at++] : undefined
}

function declare(reader: Reader, module: string, imported: string, local: string, root: string, line: number): void {
  reader.imports.push({ module, imported, local, line, isTypeOnly: isForTypes(reader) })
  if (local !== '') reader.scopes.declare(local, root)
}

/** Inside of `if TYPE_CHECKING`. */
function isForTypes(reader: Reader): boolean {
  const block = reader.blocks[reader.block]
  const test = block?.kind === 'branch' ? block.test : undefined
  return test?.kind === 'path' && /(?:^|\.)TYPE_CHECKING$/.test(test.path.text)
}

export function readImport(reader: Reader, from: number): void {
  const { tokens } = reader
  const line = tokens.lines[from] ?? 1
  tokens.at++
  do {
    const module = readModule(reader)
    if (module === '') return
    const local = alias(reader)
    const first = module.split('.', 1)[0] as string
    declare(reader, module, '*', local ?? first, `import:${local === undefined ? first : module}`, line)
  } while (tokens.take(','))
}

export function readImportFrom(reader: Reader, from: number): void {
  const { tokens } = reader
  const line = tokens.lines[from] ?? 1
  tokens.at++
  const module = readModule(reader)
  if (!tokens.take('import') || module === '') return
  if (tokens.take('*')) return declare(reader, module, '*', '', '', line)
  const isGrouped = tokens.take('(')
  do {
    if (tokens.kinds[tokens.at] !== NAME) break
    const imported = tokens.texts[tokens.at++] as string
    declare(reader, module, imported, alias(reader) ?? imported, `import:${module}#${imported}`, line)
  } while (tokens.take(','))
  if (isGrouped) tokens.take(')')
}
