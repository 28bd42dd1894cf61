// Interpolation. `${NAME}` and `${NAME:-default}` inside values become what the environment holds. It happens after
// parsing, so that a variable can't change the file's structure, and once, so that its content is not read again.

import type { Variables } from './environment.ts'
import type { ProblemList } from './problems.ts'
import { isMapping, type Path } from './schema-reading.ts'

const DEPTH_MAX = 16 // the settings need 5
const VALUES_MAX = 50_000 // aliases expanded; 1 MiB of real settings has about 40,000

export interface Expanded {
  readonly tree: unknown
  /** Paths whose text came from the environment, and so may stand for a number, a boolean or a list. */
  readonly texts: ReadonlySet<string>
}

/** Copies the tree with every `${NAME}` replaced; what can't be replaced becomes a problem and is left out. */
export function expandTree(tree: unknown, env: Variables, problems: ProblemList): Expanded {
  const texts = new Set<string>()
  let values = 0
  const expand = (value: unknown, path: Path): unknown => {
    values++
    if (values > VALUES_MAX || path.length > DEPTH_MAX) {
      problems.add([], 'has too many values or levels', `keep below ${VALUES_MAX} values and ${DEPTH_MAX} levels`)
      return undefined
    }
    if (typeof value === 'string') return expandText(value, path)
    if (Array.isArray(value)) return value.map((entry, index) => expand(entry, [...path, index]))
    if (!isMapping(value)) return value
    return Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, expand(entry, [...path, key])]))
  }
  const expandText = (text: string, path: Path): string | undefined => {
    if (!text.includes('${')) return text
    const { expanded, fault } = interpolate(text, env)
    if (fault !== undefined) {
      problems.add(path, fault.wrong, fault.instead)
      return undefined
    }
    texts.add(JSON.stringify(path))
    return expanded
  }
  const expanded = expand(tree, [])
  return { tree: values > VALUES_MAX ? {} : expanded, texts }
}

interface Interpolated {
  readonly expanded: string
  readonly fault?: { readonly wrong: string; readonly instead: string }
}

/** `${NAME}`, `${NAME:-default}`; `$${` is a plain `${`. An empty variable counts as not set. */
function interpolate(text: string, env: Variables): Interpolated {
  let fault: Interpolated['fault']
  const expanded = text.replace(/\$\$\{|\$\{([^}]*)\}?/g, (match, inner: string | undefined) => {
    if (match === '$${') return '${'
    const parts = /^([A-Za-z_][A-Za-z0-9_]{0,127})(?::-(.*))?$/s.exec(match.endsWith('}') ? (inner ?? '') : '')
    if (parts === null) {
      fault ??= {
        wrong: 'has a variable that cannot be read',
        instead: `write \${NAME} or \${NAME:-default}; $\${ for a plain \${`,
      }
      return ''
    }
    const [, name = '', fallback] = parts
    const value = (Object.hasOwn(env, name) ? env[name] : undefined) || fallback
    if (value !== undefined) return value
    fault ??= {
      wrong: `needs the environment variable ${name}, which is not set`,
      instead: `set it or write \${${name}:-default}`,
    }
    return ''
  })
  return fault === undefined ? { expanded } : { expanded, fault }
}
