// The knowledge base: from the full name of what is called to what is known of its library.

import { JAVASCRIPT_DATA } from './javascript-data.ts'
import { JAVASCRIPT_HTTP } from './javascript-http.ts'
import { JAVASCRIPT_SERVICES } from './javascript-services.ts'
import type { Library } from './library.ts'
import { PYTHON } from './python.ts'
import { PYTHON_SERVICES } from './python-services.ts'

export type { Library, Wait } from './library.ts'

export const LIBRARIES: readonly Library[] = [
  ...JAVASCRIPT_HTTP,
  ...JAVASCRIPT_SERVICES,
  ...JAVASCRIPT_DATA,
  ...PYTHON,
  ...PYTHON_SERVICES,
]

type Language = Library['language']

interface Names {
  readonly makes: ReadonlyMap<string, Library>
  readonly calls: ReadonlyMap<string, Library>
  /** What modules begin with. */
  readonly prefixes: readonly (readonly [prefix: string, library: Library])[]
}

const NAMES: Readonly<Record<Language, Names>> = { javascript: namesOf('javascript'), python: namesOf('python') }

function namesOf(language: Language): Names {
  const own = LIBRARIES.filter((library) => library.language === language)
  const names = (pick: (library: Library) => readonly string[]): ReadonlyMap<string, Library> =>
    new Map(own.flatMap((library) => pick(library).map((name) => [name, library] as const)))
  const prefixes = own.flatMap((library) =>
    library.makes.filter((name) => name.endsWith('*')).map((name) => [name.slice(0, -1), library] as const),
  )
  return { makes: names(({ makes }) => makes), calls: names(({ calls }) => calls), prefixes }
}

/** `pg` of `pg.Pool`, `@aws-sdk` of all that it has. */
function packageOf(name: string): string {
  return /^@?[^./*]+/.exec(name)?.[0] ?? ''
}

const PACKAGES: Readonly<Record<Language, ReadonlySet<string>>> = {
  javascript: packagesOf('javascript'),
  python: packagesOf('python'),
}

function packagesOf(language: Language): ReadonlySet<string> {
  const own = LIBRARIES.filter((library) => library.language === language)
  return new Set(own.flatMap(({ makes, calls }) => [...makes, ...calls].map(packageOf)))
}

/** Whether a module may be one of a library that is known. */
export function isOfLibrary(language: Language, module: string): boolean {
  return PACKAGES[language].has(packageOf(module))
}

/** Of what makes a client: `pg.Pool`. */
export function makerNamed(language: Language, name: string): Library | undefined {
  const { makes, prefixes } = NAMES[language]
  return makes.get(name) ?? prefixes.find(([prefix]) => name.startsWith(prefix) && /\.\w+Client$/.test(name))?.[1]
}

/** Of what calls at once: `axios.get`. */
export function callNamed(language: Language, name: string): Library | undefined {
  return NAMES[language].calls.get(name)
}

export function libraryNamed(language: Language, name: string): Library | undefined {
  return LIBRARIES.find((library) => library.language === language && library.name === name)
}

/** Last names of all methods that call: what is called otherwise leaves the process by no client that is known. */
export const METHOD_NAMES: ReadonlySet<string> = new Set(
  LIBRARIES.flatMap(({ methods }) => methods.map((method) => method.slice(method.lastIndexOf('.') + 1))),
)

/** Methods that lend a connection, of any pool. */
export const LENDING_NAMES: ReadonlySet<string> = new Set(LIBRARIES.flatMap(({ lends = [] }) => lends))
