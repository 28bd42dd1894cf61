// The parts that a repository's system is made of: services of compose, workloads of Kubernetes, and folders that could run and that no deployment names.
// Each is a component together with what is needed to find out whom it speaks to.
//   GR1. A component is what the first deployment of its system says that has it: those that somebody runs before those of a developer, standard names first.
//        Deployments of tests are looked at only where there is no other.
//   GR11. Compose files of one folder are one system, as compose itself takes them, and those of folders that share a service of their own; a name that two
//        systems have is two components.

import { readOwners } from '../findings/owners.ts'
import type { ComposeProject, Configuration } from '../repository/configuration.ts'
import { isDevelopment, isRun } from '../repository/deployments.ts'
import { folderOf, nameOf } from '../repository/paths.ts'
import type { FileIndex } from '../repository/repository.ts'
import { composeParts } from './compose-parts.ts'
import { folderParts } from './folder-parts.ts'
import { kubernetesParts } from './kubernetes-parts.ts'
import type { Part } from './part.ts'

const KUBERNETES = 'kubernetes'
const STANDARD = /^(?:(?:docker|podman)-)?compose\.ya?ml$/i

export function partsOf(configuration: Configuration, files: FileIndex): readonly Part[] {
  const parts = new Map<string, Part>()
  const projects = ordered(configuration.compose, files)
  const systems = systemsOf(projects)
  for (const [index, project] of projects.entries())
    for (const part of composeParts(project, configuration, files))
      add(parts, { ...part, system: systems[index] ?? '' })
  const main = systems[0] ?? KUBERNETES
  for (const part of kubernetesParts(configuration)) add(parts, { ...part, system: main })
  for (const part of folderParts(configuration, files, [...parts.values()]))
    add(parts, { ...part, system: part.component.name })
  const ownersOf = readOwners(files)
  return adopted([...parts.values()], configuration).map((part) => {
    const { sources, evidence } = part.component
    const place = sources.find((source) => source !== '') ?? evidence[0]?.loc?.file ?? ''
    return { ...part, component: { ...part.component, owner: ownersOf(place) } }
  })
}

/** Where nothing deployed has a source, and the root could be built, it is that of the only service that is published and no known product. */
function adopted(parts: readonly Part[], { dockerfiles }: Configuration): readonly Part[] {
  if (parts.some(({ component }) => component.sources.length > 0)) return parts
  if (!dockerfiles.some(({ file }) => folderOf(file) === '')) return parts
  const [only, another] = parts.filter(({ component: { kind, isPublished } }) => kind === 'service' && isPublished)
  if (only === undefined || another !== undefined) return parts
  return parts.map((part) => (part === only ? { ...part, component: { ...part.component, sources: [''] } } : part))
}

/** GR11. */
function add(parts: Map<string, Part>, part: Part): void {
  const { name } = part.component
  const known = parts.get(name)
  if (known === undefined || known.system === part.system) {
    parts.set(name, known === undefined ? part : joined(known, part))
    return
  }
  const own = `${name} (${part.system === '' ? 'root' : part.system})`
  const other = parts.get(own)
  parts.set(own, other === undefined ? { ...part, component: { ...part.component, name: own } } : joined(other, part))
}

/** GR11: for each project its system, named by the first folder of it. */
function systemsOf(projects: readonly ComposeProject[]): readonly string[] {
  const systems = new Map<string, string>()
  const byService = new Map<string, string>()
  return projects.map((project) => {
    const folder = folderOf(project.file)
    const own = [...project.services.values()].filter((service) => service.build !== undefined).map(({ name }) => name)
    const shared = own.map((name) => byService.get(name)).find((system) => system !== undefined)
    const system = systems.get(folder) ?? shared ?? folder
    systems.set(folder, system)
    for (const name of own) if (!byService.has(name)) byService.set(name, system)
    return system
  })
}

/** GR1. */
function ordered(projects: readonly ComposeProject[], files: FileIndex): readonly ComposeProject[] {
  const run = projects.filter((project) => isRun(project, files))
  const whole = (run.length > 0 ? run : projects).filter(({ isOverridden }) => !isOverridden)
  const rank = (project: ComposeProject): number =>
    (isDevelopment(project) ? 4 : 0) +
    (STANDARD.test(nameOf(project.file)) ? 0 : 2) +
    (project.files.length > 1 ? 1 : 0)
  const depth = ({ file }: ComposeProject): number => file.split('/').length + (/(^|\/)\./.test(file) ? 100 : 0)
  return whole.toSorted((a, b) => depth(a) - depth(b) || rank(a) - rank(b) || (a.file < b.file ? -1 : 1))
}

/** GR1: what the first says holds; another place adds itself as evidence, and what the first leaves open. */
function joined(first: Part, other: Part): Part {
  const { component } = first
  const sources = component.sources.length > 0 ? component.sources : other.component.sources
  const evidence = [...component.evidence, ...other.component.evidence].slice(0, 6)
  const isPublished = component.isPublished || other.component.isPublished
  return { ...first, component: { ...component, sources, evidence, isPublished } }
}
