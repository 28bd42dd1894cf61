// Where the cache is, by the habits of the system: never in what is audited.

import { isAbsolute, join } from 'node:path'

export type Environment = Readonly<Record<string, string | undefined>>

/** Undefined: this user has no place for it. */
export function cachePlace(env: Environment, platform: string): string | undefined {
  const { XDG_CACHE_HOME: given = '', LOCALAPPDATA: local = '', HOME: home = '' } = env
  // A relative one is to be ignored (XDG Base Directory Specification).
  if (isAbsolute(given)) return join(given, 'ripstop')
  if (platform === 'win32') return isAbsolute(local) ? join(local, 'ripstop', 'cache') : undefined
  return isAbsolute(home) ? join(home, '.cache', 'ripstop') : undefined
}
