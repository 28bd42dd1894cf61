// The packages as a browser takes them: the same files, their types blanked when they are asked for, and an import map made of the
// packages' own `exports`. No bundler; what the browser runs is what is in the repository, line for line.
// Invariants:
//   XC4. Nothing but sources of those packages is served.

import { readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { stripTypeScriptTypes } from 'node:module'
import { join } from 'node:path'

const PACKAGES = ['kernel', 'protocol', 'sdk'] as const
const root = join(import.meta.dirname, '..', '..', 'packages')
/** Nothing but sources of those packages: no test, no way up. */
const PATH = /^\/modules\/((?:kernel|protocol|sdk)\/src(?:\/[\w-]+)+\.ts)$/

/** For `<script type="importmap">`: `@ripstop/sdk/sessions` is where the package's `exports` say. */
export function createImportMap(): { readonly imports: Readonly<Record<string, string>> } {
  const imports: Record<string, string> = {}
  for (const name of PACKAGES) {
    const { exports } = JSON.parse(readFileSync(join(root, name, 'package.json'), 'utf8')) as {
      exports: Readonly<Record<string, string>>
    }
    for (const [door, file] of Object.entries(exports)) {
      imports[`@ripstop/${name}${door.slice(1)}`] = `/modules/${name}${file.slice(1)}`
    }
  }
  return { imports }
}

/** The module at a path of the import map, or beside one; undefined: there is none. */
export async function readModule(path: string): Promise<string | undefined> {
  const file = PATH.exec(path)?.[1]
  if (file === undefined) return undefined
  const source = await readFile(join(root, file), 'utf8').catch(() => undefined)
  return source === undefined ? undefined : stripTypeScriptTypes(source)
}
