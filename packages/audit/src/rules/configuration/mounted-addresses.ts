// Hosts that files of configuration name: upstreams of nginx, targets of Prometheus, addresses of other gateways. The container that is given such a file looks them up in
// the network of its project.
//   QM4. Comments, variables, names with a dot, upstreams that the file itself defines and what is no address are silent.

import type { ComposeService } from '../../repository/configuration.ts'
import { isBelow, resolveFrom } from '../../repository/paths.ts'
import type { Repository } from '../../repository/repository.ts'
import { baseOf, contextOf, copied, dockerfileOf, imageStages, instructionsOf } from './builds.ts'

export interface NamedHost {
  readonly file: string
  readonly line: number
  readonly host: string
}

const CONFIGURATION = /\.(conf|template|cfg|ya?ml|toml)$/i
const OF_NGINX = /\.(conf|template)$/i
const CHARS_MAX = 200_000
const FILES_MAX = 50

/** Of the files that compose mounts into a service, and of those of nginx that its image is built with. */
export function hostsGivenTo(repository: Repository, service: ComposeService): readonly NamedHost[] {
  const mounted = service.volumes.flatMap(({ source, isBind, loc }) => {
    const target = isBind && source !== undefined ? resolveFrom(loc.file, source) : undefined
    return target === undefined || typeof target === 'string' || target.path === '' ? [] : [target.path]
  })
  return [...mounted, ...builtIn(repository, service)]
    .flatMap((path) => filesAt(repository, path))
    .flatMap((file) => hostsIn(file, repository.files.read(file) ?? ''))
}

function builtIn(repository: Repository, service: ComposeService): readonly string[] {
  const context = contextOf(repository, service.build)
  const dockerfile = dockerfileOf(repository, service)
  if (context === undefined || dockerfile === undefined || !isNginx(baseOf(repository, service))) return []
  const last = imageStages(dockerfile, service.build?.target)
  return copied(repository, instructionsOf(last), context)
    .flatMap(({ paths }) => paths)
    .filter((path) => OF_NGINX.test(path))
}

export function isNginx(image: string): boolean {
  return /(^|\/)(nginx|nginx-unprivileged|openresty)(:|$)/.test(image)
}

function filesAt({ files }: Repository, path: string): readonly string[] {
  if (files.role(path) !== undefined) return CONFIGURATION.test(path) ? [path] : []
  return files
    .list()
    .filter((file) => isBelow(file, path) && CONFIGURATION.test(file))
    .slice(0, FILES_MAX)
}

export function hostsIn(file: string, text: string): readonly NamedHost[] {
  if (text.length > CHARS_MAX) return []
  const lines = text.split('\n').map((line) => line.replace(/(^|\s)#.*$/, ''))
  const named = OF_NGINX.test(file) ? ofNginx(lines) : ofYaml(lines)
  return named.flatMap(({ line, host }) => (/[.$]|^localhost$/.test(host) ? [] : [{ file, line, host }]))
}

type Hosts = { readonly line: number; readonly host: string }[]

function ofNginx(lines: readonly string[]): Hosts {
  const own = new Set(lines.map((line) => /^\s*upstream\s+([\w.-]+)/.exec(line)?.[1]))
  const found: Hosts = []
  for (const [index, line] of lines.entries()) {
    const passed = /\b(?:proxy_pass|grpc_pass)\s+(?:https?|grpcs?):\/\/([A-Za-z][\w.$-]*)(?=[:/;\s]|$)/.exec(line)?.[1]
    const served = /^\s*server\s+([A-Za-z][\w.$-]*)(?::\d+)?(?:\s[^{]*)?;/.exec(line)?.[1]
    const spoken = /\b(?:fastcgi_pass|uwsgi_pass)\s+([A-Za-z][\w.$-]*):\d+\s*;/.exec(line)?.[1]
    const host = passed ?? served ?? spoken
    if (host !== undefined && !own.has(host)) found.push({ line: index + 1, host })
  }
  return found
}

/** Addresses under `url:`, and hosts with a port in lists of `targets`. */
function ofYaml(lines: readonly string[]): Hosts {
  const found: Hosts = []
  let targets = -1
  for (const [index, line] of lines.entries()) {
    const indent = line.length - line.trimStart().length
    const isKey = /^\s*(?:-\s*)?targets\s*:/.test(line)
    if (isKey) targets = indent
    else if (targets >= 0 && line.trim() !== '' && !(/^\s*-\s/.test(line) && indent >= targets)) targets = -1
    if (isKey || targets >= 0)
      for (const [, host] of line.matchAll(/(?<=[\s["',-])([A-Za-z][\w-]*):\d{2,5}(?=["'\s,\]]|$)/g))
        if (host !== undefined) found.push({ line: index + 1, host })
    const address = /\burl\s*:\s*["']?https?:\/\/([A-Za-z][\w.$-]*)(?=[:/"'\s]|$)/i.exec(line)?.[1]
    if (address !== undefined) found.push({ line: index + 1, host: address })
  }
  return found
}
