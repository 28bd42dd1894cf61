// Which compose projects a rule looks at, and what a service is for. Files of tests and templates are nobody's production; a project that is overridden is
// seen again, whole, with its override.
//   RX30. A place that several projects read is told once, as strong as the strongest of them has it.
//   QJ22. A container whose image imports data or migrates by itself is a job.
//   RX31. What one habit of one file, folder or base image explains has one cause.

import type { Evidence, Loc } from '../../model/evidence.ts'
import type { ComposeProject, ComposeService } from '../../repository/configuration.ts'
import { isDevelopment, isJob, isJobCommand, isRun } from '../../repository/deployments.ts'
import { folderOf, isBelow, nameOf } from '../../repository/paths.ts'
import type { Repository } from '../../repository/repository.ts'
import type { Discovery } from '../rule.ts'
import { dockerfileOf, imageStages } from './builds.ts'

export { isJob }

export interface ServiceIn {
  readonly project: ComposeProject
  readonly service: ComposeService
}

export function projectsOf({ configuration, files }: Repository): readonly ComposeProject[] {
  return configuration.compose.filter((project) => isRun(project, files))
}

/** Of all projects, overridden ones too: what is written there is read by somebody. */
export function servicesOf(repository: Repository): readonly ServiceIn[] {
  return projectsOf(repository).flatMap((project) =>
    [...project.services.values()].map((service) => ({ project, service })),
  )
}

/** What has to keep running: no jobs, nothing behind a profile, no fragment of a service, and each service only as its override leaves it. */
export function standingServices(repository: Repository): readonly ServiceIn[] {
  return servicesOf(repository).filter(
    ({ project, service }) =>
      !project.isOverridden &&
      service.profiles.length === 0 &&
      (service.image ?? service.build) !== undefined &&
      !isJob(project, service) &&
      !isBuiltJob(repository, service),
  )
}

/** QJ22. */
export function isBuiltJob(repository: Repository, service: ComposeService): boolean {
  if (service.command !== undefined || service.entrypoint !== undefined) return false
  const dockerfile = dockerfileOf(repository, service)
  const stages = dockerfile === undefined ? [] : imageStages(dockerfile, service.build?.target)
  const starts = stages
    .flatMap(({ instructions }) => instructions)
    .filter(({ name }) => /^(CMD|ENTRYPOINT)$/.test(name))
  return isJobCommand(starts.at(-1)?.text ?? '')
}

/** What is only run on somebody's own machine, by its name or because it stands in an override, is for review. */
export function tierIn(project: ComposeProject, { file }: Loc): 'strong' | 'review' {
  return isDevelopment(project) || /\boverride\b/i.test(nameOf(file)) ? 'review' : 'strong'
}

/** Files of one folder, and those above it, are often merged by hand with `-f`. One that defines most of the same services is an alternative to this. */
export function isDefinedBeside({ configuration }: Repository, project: ComposeProject, name: string): boolean {
  const folder = folderOf(project.file)
  return configuration.compose.some(
    (other) =>
      other.services.has(name) && isBelow(folder, folderOf(other.file)) && !isAlternative(project, other.services),
  )
}

function isAlternative({ services }: ComposeProject, others: ComposeProject['services']): boolean {
  return [...services.keys()].filter((name) => others.has(name)).length * 2 > services.size
}

export function seen(loc: Loc, what: string): Evidence {
  return { provenance: 'config', loc, what }
}

/** The same place is read once, however many projects it is merged into, as strong as the strongest of them has it. */
export function oncePerPlace(discoveries: Iterable<Discovery>): Iterable<Discovery> {
  const known = new Map<string, Discovery>()
  for (const discovery of discoveries) {
    const loc = discovery.evidence[0]?.loc
    const key = `${loc?.file}:${loc?.line}:${discovery.symbol}`
    if (known.get(key)?.tier !== 'strong' && (discovery.tier === 'strong' || !known.has(key))) known.set(key, discovery)
  }
  return known.values()
}
