// Commands that a page tells people to type: scripts of packages, targets of make, files.
//   QW6. A container or service is missing where compose starts some, none has its name, and nothing else that runs in the repository writes it.
//   DD1. A name that any manifest or Makefile of the repository has, a file whose name lies anywhere in it, what a command above makes, and placeholders are silent.

import { join, nameOf } from '../../repository/paths.ts'
import type { Repository } from '../../repository/repository.ts'
import { isMade } from '../configuration/builds.ts'
import type { Drift, Line, Page } from './pages.ts'

export interface Known {
  readonly scripts: ReadonlySet<string>
  readonly targets: ReadonlySet<string> | undefined
  /** Names of files, without their folders. */
  readonly names: ReadonlySet<string>
  /** Of services and containers of compose; undefined: nothing is started by it. */
  readonly containers: ReadonlySet<string> | undefined
}

export function knownOf({ files, configuration }: Repository): Known {
  const names = new Set(files.list().map(nameOf))
  const makefiles = files.list().filter((path) => /^(GNU)?[Mm]akefile$|\.mk$/.test(nameOf(path)))
  const targets = new Set<string>()
  for (const path of makefiles)
    for (const match of (files.read(path) ?? '').matchAll(/^([\w./%$(){} -]+)::?(?!=)/gm))
      for (const target of (match[1] ?? '').trim().split(/\s+/)) targets.add(target)
  const isOpen = [...targets].some((target) => /[%$]/.test(target))
  const scripts = new Set(configuration.manifests.flatMap((manifest) => [...manifest.scripts.keys()]))
  return {
    scripts,
    targets: makefiles.length === 0 || isOpen ? undefined : targets,
    names,
    containers: containersOf(configuration.compose),
  }
}

function containersOf(projects: Repository['configuration']['compose']): ReadonlySet<string> | undefined {
  const found = new Set<string>()
  for (const { services } of projects)
    for (const service of services.values()) for (const name of [service.name, ...service.names]) found.add(name)
  return found.size === 0 ? undefined : found
}

const SHELLS = new Set(['', 'bash', 'sh', 'shell', 'console', 'zsh', 'shell-session', 'terminal', 'cmd'])

export function* driftOfCommands(repository: Repository, known: Known, page: Page): Iterable<Drift> {
  // What is downloaded, and what a clone of another repository has.
  const made = new Set(
    page.lines.flatMap(({ text }) => [...text.matchAll(/https?:\/\/\S*\/([\w.-]+)/g)].map((match) => match[1] ?? '')),
  )
  const isElsewhere = page.file.includes('/') && page.lines.some(({ text }) => /\bgit\s+clone\b/.test(text))
  for (const line of page.lines) {
    if (line.isRefused || (line.fence !== undefined && !SHELLS.has(line.fence))) continue
    for (const code of line.code) {
      const command = code
        .replace(/^\s*[$>%]\s+/, '')
        .replace(/\s#.*$/, '')
        .trim()
      if (command.startsWith('#') || /[<>]{1}[\w -]+>|\[[\w -]+\]/.test(command)) continue
      for (const name of command.matchAll(
        /(?:>\s*|\btouch\s+|\s-[oO]\s+|\btee\s+|\bcp\s+\S+\s+|\bmv\s+\S+\s+|\bnano\s+|\bvim?\s+)([\w./-]+)/g,
      ))
        made.add(nameOf(name[1] ?? ''))
      const what =
        ofScripts(known, command) ??
        ofMake(known, command) ??
        ofContainers(repository, known, page, line, command) ??
        (isElsewhere ? undefined : ofFiles(repository, known, page, line, command, made))
      if (what !== undefined) yield { loc: line.loc, what }
    }
  }
}

function ofScripts({ scripts }: Known, command: string): string | undefined {
  const name = /^(?:.*&&\s*)?(?:npm|pnpm|yarn)\s+run\s+([\w:.-]+)/.exec(command)?.[1]
  if (scripts.size === 0 || name === undefined || scripts.has(name) || /^(-|script)/.test(name) || name.endsWith(':'))
    return undefined
  return `No package.json has a script ${name}.`
}

function ofMake({ targets }: Known, command: string): string | undefined {
  const name = /^make\s+([a-zA-Z][\w-]*)(?:\s+[A-Z_]+=\S*)*\s*$/.exec(command)?.[1]
  return targets === undefined || name === undefined || targets.has(name)
    ? undefined
    : `No Makefile has a target ${name}.`
}

const CONTAINER =
  /^(?:sudo\s+)?docker\s+(?:exec|logs|restart|attach)\s+((?:-{1,2}[\w-]+(?:=\S+)?\s+)*)([a-z][a-z0-9_.-]+)(?=\s|$)/
const SERVICE =
  /^(?:sudo\s+)?(?:docker-compose|docker\s+compose)\s+(?:(?:-f|--file|--profile|-p|--project-name|--env-file)\s+\S+\s+)*(?:exec|logs|restart|run|up|build|stop|pull|rm)\s+((?:-{1,2}[\w-]+(?:=\S+)?\s+)*)([a-z][a-z0-9_.-]+)(?=\s|$)/
/** Options that take a word of their own: what follows them is no name. */
const TAKES =
  /^(?:-[a-zA-Z]*[euwnvp]|--(?:user|env|workdir|tail|since|until|name|scale|timeout|entrypoint|volume|publish))$/

/** Placeholders, ids, and what compose makes of a project, a service and a number. */
const UNTOLD = /your|example|my[-_]|container|service[-_]?name|^[0-9a-f]{8,}$|[-_]\d+$/

/** Where commands are written that start containers. */
const STARTS = /(?:^|\/)(?:(?:GNU)?[Mm]akefile|package\.json|pyproject\.toml)$|\.(?:sh|ya?ml|mk)$/

/** QW6. */
function ofContainers(
  { files }: Repository,
  { containers, names }: Known,
  page: Page,
  line: Line,
  command: string,
): string | undefined {
  const isService = SERVICE.test(command)
  const [, options = '', name = ''] = (isService ? SERVICE : CONTAINER).exec(command) ?? []
  if (containers === undefined || name === '' || containers.has(name)) return undefined
  if (options.split(/\s+/).some((option) => TAKES.test(option)) || UNTOLD.test(name)) return undefined
  const file = /\s(?:-f|--file)[\s=]+(\S+)/.exec(command)?.[1]
  if (/^[/~$]|\.\./.test(line.folder) || (file !== undefined && !names.has(nameOf(file)))) return undefined
  const isStarted = page.lines.some(({ text }) => text.includes(`--name ${name}`) || text.includes(`--name=${name}`))
  const isWritten = files.list().some((path) => STARTS.test(path) && files.read(path)?.includes(name) === true)
  return isStarted || isWritten ? undefined : `No compose file has a ${isService ? 'service' : 'container'} ${name}.`
}

const RUNS =
  /^(?:sudo\s+)?(?:(?:docker-compose|docker\s+compose)\s+(?:[^|;&]*?\s)?(?:-f|--file)\s+|(?:python3?|node|bash|sh|source)\s+|pip3?\s+install\s+-r\s+|cp\s+|kubectl\s+apply\s+-f\s+|(?=\.\/))(\.{0,2}\/?[\w.-]+(?:\/[\w.-]+)*)/

function ofFiles(
  repository: Repository,
  { names }: Known,
  page: Page,
  line: Line,
  command: string,
  made: ReadonlySet<string>,
): string | undefined {
  const path = RUNS.exec(command)?.[1]
  if (path === undefined || !/\.(py|js|mjs|cjs|ts|sh|ya?ml|sql|txt)$|(^|\/)\.env\.[\w.-]+$/.test(path)) return undefined
  const name = nameOf(path)
  const isAway =
    /^(\/|~|\.\.\/\.\.\/)|node_modules|venv|\.local|site-packages|your|example|script_name|file_?name|my[-_]|path\/to|foo|bar\b/.test(
      path,
    ) || /^[/~$]|\.\./.test(line.folder)
  if (isAway || names.has(name) || made.has(name) || repository.files.has(path)) return undefined
  const folder = page.file.includes('/') ? page.file.slice(0, page.file.lastIndexOf('/')) : ''
  return isMade(repository, join(folder, path.replace(/^\.\//, ''))) ? undefined : `The repository has no file ${name}.`
}
