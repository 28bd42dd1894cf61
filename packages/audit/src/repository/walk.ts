// The walk over a repository: every file that could matter, by path, with its role. The folder is somebody else's and may be hostile: number, size
// and depth are bounded, links are not followed, special files are not opened, and what is left out is told.
//   WA4. Nothing outside of the root is opened: links are never followed. One that leads out, or nowhere, is told; one that leads inside is
//        read where it really lies.
//   WA5. At most `filesMax` files, none deeper than `depthMax`, none larger than `fileBytesMax`; what is beyond is told, not read.
//   WA6. In a git work tree, what .gitignore files name is left out. Elsewhere they say nothing: an unpacked archive holds what was put there.

import type { Dirent } from 'node:fs'
import { closeSync, existsSync, openSync, readdirSync, readFileSync, readSync, realpathSync, statSync } from 'node:fs'
import { basename, dirname, join, sep } from 'node:path'
import { auditError } from '../codes.ts'
import { isMatch, type Pattern, parsePattern } from './pattern.ts'
import type { FileRole, Unread } from './repository.ts'
import { isGenerated, roleOfPath, SKIPPED_FOLDERS, unknownLanguageOf } from './roles.ts'

export interface WalkLimits {
  readonly filesMax: number
  readonly depthMax: number
  readonly fileBytesMax: number
}

export const WALK_LIMITS: WalkLimits = { filesMax: 200_000, depthMax: 40, fileBytesMax: 2_000_000 }

const HEAD_BYTES = 8_192
const UNREAD_MAX = 5_000
const IGNORE_BYTES_MAX = 100_000

export interface WalkedFile {
  readonly path: string
  readonly role: FileRole
  readonly bytes: number
  /** It is there, and that is all that will be known of it: too large, or no text. */
  readonly isOpaque: boolean
}

export interface Walked {
  /** Absolute, without links. */
  readonly root: string
  /** In the order of their paths. */
  readonly files: readonly WalkedFile[]
  readonly folders: ReadonlySet<string>
  readonly unread: readonly Unread[]
}

interface Ignoring {
  readonly folder: string
  readonly patterns: readonly Pattern[]
}

interface Walking {
  readonly root: string
  readonly limits: WalkLimits
  readonly files: WalkedFile[]
  readonly folders: Set<string>
  readonly unread: Unread[]
  readonly isGit: boolean
}

/** Throws AUDIT_TARGET_INVALID where there is nothing to walk. A file alone is a repository of one. */
export function walk(target: string, limits: WalkLimits = WALK_LIMITS): Walked {
  const { path, isFolder } = resolveTarget(target)
  const root = isFolder ? path : dirname(path)
  const walking: Walking = { root, limits, files: [], folders: new Set(), unread: [], isGit: isInGit(root) }
  if (isFolder) walkFolder(walking, '', 0, [])
  else addFile(walking, basename(path))
  const files = walking.files.sort((a, b) => (a.path < b.path ? -1 : 1))
  return { root, files, folders: walking.folders, unread: walking.unread }
}

function resolveTarget(target: string): { readonly path: string; readonly isFolder: boolean } {
  try {
    const path = realpathSync(target)
    const stat = statSync(path)
    if (stat.isDirectory() || stat.isFile()) return { path, isFolder: stat.isDirectory() }
  } catch (cause) {
    throw auditError('AUDIT_TARGET_INVALID', `${target} can't be read`, { cause })
  }
  throw auditError('AUDIT_TARGET_INVALID', `${target} is neither a folder nor a file`)
}

function isInGit(root: string): boolean {
  for (let folder = root; ; folder = dirname(folder)) {
    if (existsSync(join(folder, '.git'))) return true
    if (dirname(folder) === folder) return false
  }
}

function tell(walking: Walking, unread: Unread): void {
  if (walking.unread.length < UNREAD_MAX) walking.unread.push(unread)
}

function walkFolder(walking: Walking, folder: string, depth: number, above: readonly Ignoring[]): void {
  if (depth > walking.limits.depthMax) {
    tell(walking, { path: folder, why: 'too many files', detail: `deeper than ${walking.limits.depthMax} folders` })
    return
  }
  const entries = readFolder(walking, folder)
  const ignoring = walking.isGit ? withIgnore(walking, folder, entries, above) : above
  for (const entry of entries) {
    if (walking.files.length >= walking.limits.filesMax) {
      tell(walking, { path: folder, why: 'too many files', detail: `more than ${walking.limits.filesMax} in all` })
      return
    }
    const path = folder === '' ? entry.name : `${folder}/${entry.name}`
    if (entry.isSymbolicLink()) tellLink(walking, path)
    else if (entry.isDirectory()) {
      if (isIgnored(ignoring, path, true)) continue
      walking.folders.add(path)
      if (!SKIPPED_FOLDERS.has(entry.name)) walkFolder(walking, path, depth + 1, ignoring)
    } else if (entry.isFile() && !isIgnored(ignoring, path, false)) addFile(walking, path)
  }
}

function readFolder(walking: Walking, folder: string): readonly Dirent[] {
  try {
    return readdirSync(join(walking.root, folder), { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1))
  } catch {
    // A folder that may not be opened is a part of the answer, not the end of it.
    tell(walking, { path: folder, why: 'unreadable' })
    return []
  }
}

/** WA6. */
function withIgnore(
  walking: Walking,
  folder: string,
  entries: readonly Dirent[],
  above: readonly Ignoring[],
): readonly Ignoring[] {
  const entry = entries.find(({ name }) => name === '.gitignore')
  if (entry?.isFile() !== true) return above
  try {
    const path = join(walking.root, folder, '.gitignore')
    if (statSync(path).size > IGNORE_BYTES_MAX) return above
    const patterns = readFileSync(path, 'utf8')
      .split(/\r?\n/)
      .flatMap((line) => parsePattern(line) ?? [])
    return patterns.length === 0 ? above : [...above, { folder, patterns }]
  } catch {
    return above // unreadable: it ignores nothing
  }
}

function isIgnored(ignoring: readonly Ignoring[], path: string, isFolder: boolean): boolean {
  let isOut = false
  for (const { folder, patterns } of ignoring) {
    const local = folder === '' ? path : path.slice(folder.length + 1)
    for (const pattern of patterns) if (isMatch(pattern, local, isFolder)) isOut = !pattern.isNegated
  }
  return isOut
}

/** WA4. */
function tellLink(walking: Walking, path: string): void {
  let leads: string | undefined
  try {
    leads = realpathSync(join(walking.root, path))
  } catch {
    leads = undefined // nowhere, or in a circle
  }
  if (leads === undefined) tell(walking, { path, why: 'symbolic link', detail: 'leads nowhere' })
  else if (leads !== walking.root && !leads.startsWith(walking.root + sep))
    tell(walking, { path, why: 'symbolic link', detail: 'leads out of the folder' })
}

function addFile(walking: Walking, path: string): void {
  const role = roleOfPath(path)
  const add = (bytes: number, isOpaque: boolean, as = role): void => {
    walking.files.push({ path, role: as, bytes, isOpaque })
  }
  const language = unknownLanguageOf(path)
  if (language !== undefined && role === 'other') tell(walking, { path, why: 'unknown language', detail: language })
  try {
    const bytes = statSync(join(walking.root, path)).size
    const matters = role === 'source' || role === 'configuration'
    if (bytes > walking.limits.fileBytesMax) {
      if (matters) tell(walking, { path, why: 'too large', detail: `${bytes} bytes` })
      add(bytes, true)
      return
    }
    const head = matters ? readHead(join(walking.root, path)) : undefined
    if (head?.includes('\0') === true) {
      tell(walking, { path, why: 'binary' })
      add(bytes, true)
    } else add(bytes, false, role === 'source' && head !== undefined && isGenerated(head) ? 'generated' : role)
  } catch {
    tell(walking, { path, why: 'unreadable' }) // gone or forbidden since it was listed
    add(0, true)
  }
}

function readHead(path: string): string {
  const descriptor = openSync(path, 'r')
  try {
    const bytes = Buffer.alloc(HEAD_BYTES)
    return bytes.toString('utf8', 0, readSync(descriptor, bytes, 0, HEAD_BYTES, 0))
  } finally {
    closeSync(descriptor)
  }
}
