// What the tests of the configuration share: loading a text, reading a refusal, and every path of the schema.

import { hasCode } from '@ripstop/kernel'
import type { Config } from './config.ts'
import { loadConfig } from './load.ts'
import type { Problem } from './problems.ts'
import type { Path } from './schema-reading.ts'
import { settingNames } from './schema-reading.ts'
import { createSettingsSchema } from './settings.ts'

export const CANARY = 'hunter2canary'

/** Worth nothing outside of tests. */
export const MASTER_KEY = 'uYtTzGq4mT0qZ1m1m7l0nQ3rJrX4q7bq8x5c8w1pV2E='

export const ORDERS = { orders: { url: 'http://127.0.0.1:4001' } }

/** Loads `text` as /srv/app/ripstop.yaml; undefined: there is none. */
export function load(text: string | undefined, env: Record<string, string> = {}): Config {
  return loadConfig({
    env,
    cwd: '/srv/app',
    readFile: (path) => {
      if (text === undefined) throw Object.assign(new Error(`no ${path}`), { code: 'ENOENT' })
      return new TextEncoder().encode(text)
    },
  })
}

export interface Refused {
  readonly message: string
  readonly problems: readonly Problem[]
  readonly paths: readonly string[]
}

/** The CONFIG_INVALID that `attempt` throws. */
export function refused(attempt: () => unknown): Refused {
  try {
    attempt()
  } catch (error) {
    if (!hasCode(error, 'CONFIG_INVALID')) throw error
    const problems = error.details.problems as readonly Problem[]
    return { message: error.message, problems, paths: problems.map(({ path }) => path) }
  }
  throw new Error('the configuration was accepted')
}

/** `where: wrong; instead` of the problems at a path. */
export const problemAt = ({ problems }: Refused, path: string): string => {
  const found = problems.filter((problem) => problem.path === path)
  return found.map(({ where, wrong, instead }) => `${where}: ${wrong}; ${instead}`).join('\n')
}

/** Every setting of the schema, sections included, with one upstream and one route. */
export function allPaths(path: Path = []): Path[] {
  const schema = createSettingsSchema()
  return settingNames(schema, path).flatMap((name) => {
    const at = [...path, name]
    const below =
      name === 'upstreams' ? allPaths([...at, 'orders']) : name === 'routes' ? allPaths([...at, 0]) : allPaths(at)
    return [at, ...below]
  })
}

const ALL_PATHS = allPaths()

/** The paths that hold a value and no further settings. */
export const LEAVES: readonly Path[] = ALL_PATHS.filter(
  (path) => !ALL_PATHS.some((other) => other.length > path.length && path.every((key, index) => other[index] === key)),
)

/** A tree with one upstream and one route and `value` at every leaf. */
export function treeWith(value: unknown): unknown {
  const tree = {}
  for (const path of LEAVES) setAt(tree, path, value)
  return tree
}

/** Puts `value` at `path`, making mappings and lists on the way. */
export function setAt(tree: object, path: Path, value: unknown): void {
  let node = tree as Record<string | number, unknown>
  for (const [index, key] of path.entries()) {
    const next = path[index + 1]
    if (next === undefined) node[key] = value
    else {
      const given = node[key]
      const made = typeof given === 'object' && given !== null ? given : typeof next === 'number' ? [] : {}
      node[key] = made
      node = made as Record<string | number, unknown>
    }
  }
}
