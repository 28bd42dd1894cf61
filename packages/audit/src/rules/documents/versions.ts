// Versions that a page asks for and that the manifests refuse.
//   DD4. Only a least version that is lower than that of the nearest manifest is found; anything higher works.

import { folderOf, join } from '../../repository/paths.ts'
import type { Repository } from '../../repository/repository.ts'
import type { Drift, Page } from './pages.ts'

type Version = readonly [major: number, minor: number]

const SAID: readonly (readonly [tool: 'Node' | 'Python', said: RegExp])[] = [
  [
    'Node',
    /\bnode(?:\.?js)?(?:\*\*)?\s*(?:\(|:|version)?\s*(?:>=|≥)?\s*v?(\d{1,2})(?:\.(\d+))?(?:\.[\dx]+)?\s*(\+|or (?:higher|later|newer|above|greater))/i,
  ],
  [
    'Python',
    /\bpython(?:\*\*)?\s*(?:\(|:|version)?\s*(?:>=|≥)?\s*(3)\.(\d{1,2})(?:\.\d+)?\s*(\+|or (?:higher|later|newer|above|greater))/i,
  ],
]

export function* driftOfVersions(repository: Repository, page: Page): Iterable<Drift> {
  for (const { text, loc } of page.lines)
    for (const [tool, pattern] of SAID) {
      const match = pattern.exec(text)
      if (match === null) continue
      const said: Version = [Number(match[1]), Number(match[2] ?? 0)]
      const least = leastOf(repository, page.file, tool)
      // A minor of Node is seldom meant.
      if (least !== undefined && isLess(said, tool === 'Node' ? [least.version[0], 0] : least.version))
        yield {
          loc,
          what: `It asks for ${tool} ${shown(said)}, and ${least.file} for ${shown(least.version)} or later.`,
        }
    }
}

function isLess([major, minor]: Version, [otherMajor, otherMinor]: Version): boolean {
  return major < otherMajor || (major === otherMajor && minor < otherMinor)
}

function shown([major, minor]: Version): string {
  return minor === 0 ? String(major) : `${major}.${minor}`
}

/** Of the manifest beside the page, or above it. */
function leastOf(
  { files }: Repository,
  page: string,
  tool: 'Node' | 'Python',
): { readonly version: Version; readonly file: string } | undefined {
  const name = tool === 'Node' ? 'package.json' : 'pyproject.toml'
  const pattern =
    tool === 'Node'
      ? /"node"\s*:\s*"\s*(?:>=|\^|~)\s*v?(\d+)(?:\.(\d+))?[^"|]*"/
      : /requires-python\s*=\s*"\s*>=\s*(3)(?:\.(\d+))?/
  for (let folder = folderOf(page); ; folder = folderOf(folder)) {
    const file = join(folder, name)
    // Of the pages themselves, not of what they speak of.
    const text = /(^|\/)(docs?|website|documentation)$/.test(folder) ? undefined : files.read(file)
    if (text !== undefined) {
      const match = pattern.exec(text)
      return match === null ? undefined : { version: [Number(match[1]), Number(match[2] ?? 0)], file }
    }
    if (folder === '') return undefined
  }
}
