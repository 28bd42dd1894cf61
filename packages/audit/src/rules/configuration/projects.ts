// Which compose projects a rule looks at, and what a service is for. Files of tests and templates are nobody's production; a project that is overridden is
// seen again, whole, with its override.

import type { Evidence, Loc } from '../../model/evidence.ts'
import type { ComposeProject, ComposeService } from '../../repository/configuration.ts'
import { folderOf, isBelow, nameOf } from '../../repository/paths.ts'
import type { Repository } from '../../repository/repository.ts'
import type { Discovery } from '../rule.ts'

const NOT_RUN = /(^|[.\-_])(tests?|testing|ci|e2e|integration|example|sample|template|bench|benchmark)([.\-_]|$)/i
const DEVELOPMENT = /(^|[.\-_])(dev|develop|development|local|debug|minimal|simple|demo)([.\-_]|$)/i

export interface ServiceIn {
  readonly project: ComposeProject
  readonly service: ComposeService
}

export function projectsOf({ configuration, files }: Repository): readonly ComposeProject[] {
  return configuration.compose.filter((project) => {
    const role = files.role(project.file)
    return role !== 'test' && role !== 'example' && !project.files.some((file) => NOT_RUN.test(nameOf(file)))
  })
}

/** Of all projects, overridden ones too: what is written there is read by somebody. */
export function servicesOf(repository: Repository): readonly ServiceIn[] {
  return projectsOf(repository).flatMap((project) =>
    [...project.services.values()].map((service) => ({ project, service })),
  )
}

/** What has to keep running: no jobs, nothing behind a profile, and each service only as its override leaves it. */
export function standingServices(repository: Repository): readonly ServiceIn[] {
  return servicesOf(repository).filter(
    ({ project, service }) => !project.isOverridden && service.profiles.length === 0 && !isJob(project, service),
  )
}

function isDevelopment(project: ComposeProject): boolean {
  return project.files.some((file) => DEVELOPMENT.test(nameOf(file)))
}

/** What is only run on somebody's own machine, by its name or because it stands in an override, is for review. */
export function tierIn(project: ComposeProject, { file }: Loc): 'strong' | 'review' {
  return isDevelopment(project) || /\boverride\b/i.test(nameOf(file)) ? 'review' : 'strong'
}

/** Files of one folder, and those above it, are often merged by hand with `-f`. */
export function isDefinedBeside({ configuration }: Repository, project: ComposeProject, name: string): boolean {
  const folder = folderOf(project.file)
  return configuration.compose.some((other) => isBelow(folder, folderOf(other.file)) && other.services.has(name))
}

const JOB_NAME =
  /(^|[-_])(init|migrate|migrations?|migrator|seed|seeder|setup|bootstrap|provision|createbuckets?|create-?topics?|job)([-_]|$)/i
const JOB_COMMAND =
  /\b(alembic\s+upgrade|prisma\s+(migrate|db\s+push)|manage\.py\s+migrate|knex\s+migrate|sequelize\s+db:|typeorm\s+migration|flyway|liquibase|db:(migrate|seed)|(npm|pnpm|yarn)\s+(run\s+)?(migrate|seed)|mc\s+(alias|mb|config))\b/i
const JOB_IMAGE = /(^|\/)(flyway\/flyway|migrate\/migrate|minio\/mc|liquibase\/liquibase|arigaio\/atlas)(:|$)/
const SERVES =
  /\b(uvicorn|gunicorn|hypercorn|node\s+\S|next\s+start|run\s+(start|dev|serve)|start:|runserver|celery|exec\s)/i

/** It is meant to end. */
export function isJob(project: ComposeProject, service: ComposeService): boolean {
  const dependants = [...project.services.values()].map(({ dependsOn }) => dependsOn.get(service.name)?.value)
  if (dependants.includes('service_completed_successfully')) return true
  const command = `${service.entrypoint?.value ?? ''} ${service.command?.value ?? ''}`
  if (SERVES.test(command)) return false
  return JOB_NAME.test(service.name) || JOB_COMMAND.test(command) || JOB_IMAGE.test(service.image?.value ?? '')
}

export function seen(loc: Loc, what: string): Evidence {
  return { provenance: 'config', loc, what }
}

/** The same place is read once, however many projects it is merged into. */
export function* oncePerPlace(discoveries: Iterable<Discovery>): Generator<Discovery> {
  const known = new Set<string>()
  for (const discovery of discoveries) {
    const loc = discovery.evidence[0]?.loc
    const key = `${loc?.file}:${loc?.line}:${discovery.symbol}`
    if (!known.has(key)) yield discovery
    known.add(key)
  }
}
