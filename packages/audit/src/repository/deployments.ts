// Which of a repository's compose projects somebody runs, and what of them is meant to end. Files of tests and templates are nobody's production,
// nor is a container to write code in.
//   QR12. What others wait to be healthy is no job, whatever it is called.

import type { ComposeProject, ComposeService } from './configuration.ts'
import { folderOf, nameOf } from './paths.ts'
import type { FileIndex } from './repository.ts'

const NOT_RUN = /(^|[.\-_])(tests?|testing|ci|e2e|integration|example|sample|template|bench|benchmark)([.\-_]|$)/i
const IN_DEVELOPMENT_CONTAINER = /(?:^|\/)\.devcontainer\//
const DEVELOPMENT = /(^|[.\-_])(dev|develop|development|local|debug|minimal|simple|demo)([.\-_]|$)/i

/** By their names: neither tests nor templates. */
export function isRun(project: ComposeProject, files: FileIndex): boolean {
  const role = files.role(project.file)
  return (
    role !== 'test' &&
    role !== 'example' &&
    !project.files.some((file) => NOT_RUN.test(nameOf(file)) || IN_DEVELOPMENT_CONTAINER.test(file))
  )
}

/** Only run on somebody's own machine, by its name or that of its folder. */
export function isDevelopment(project: ComposeProject): boolean {
  return project.files.some((file) => DEVELOPMENT.test(nameOf(file)) || DEVELOPMENT.test(nameOf(folderOf(file))))
}

const JOB_NAME =
  /(^|[-_])(init|migrate|migrations?|migrator|seed|seeder|setup|bootstrap|provision|createbuckets?|create-?topics?|job)([-_]|$)/i
const JOB_COMMAND =
  /\b(alembic\s+upgrade|prisma\s+(migrate|db\s+push)|manage\.py\s+migrate|knex\s+migrate|sequelize\s+db:|typeorm\s+migration|flyway|liquibase|db:(migrate|seed)|(npm|pnpm|yarn)\s+(run\s+)?(migrate|seed)|mc\s+(alias|mb|config)|mongoimport|mongorestore|pg_restore)\b/i
const JOB_IMAGE = /(^|\/)(flyway\/flyway|migrate\/migrate|minio\/mc|liquibase\/liquibase|arigaio\/atlas)(:|$)/
const SERVES =
  /\b(uvicorn|gunicorn|hypercorn|node\s+\S|next\s+start|run\s+(start|dev|serve)|start:|runserver|celery|exec\s)/i

/** QJ22. What an image does by itself ends: it imports, or moves tables on. */
export function isJobCommand(command: string): boolean {
  return JOB_COMMAND.test(command) && !SERVES.test(command)
}

/** It is meant to end. */
export function isJob(project: ComposeProject, service: ComposeService): boolean {
  const dependants = [...project.services.values()].map(({ dependsOn }) => dependsOn.get(service.name)?.value)
  if (dependants.includes('service_completed_successfully')) return true
  // QR12.
  if (dependants.includes('service_healthy')) return false
  // Nobody calls it, nobody waits for it, and its authors want it to stay down.
  if (service.restart?.value === 'no' && service.ports.length === 0 && dependants.every((each) => each === undefined))
    return true
  const command = `${service.entrypoint?.value ?? ''} ${service.command?.value ?? ''}`
  if (SERVES.test(command)) return false
  return JOB_NAME.test(service.name) || JOB_COMMAND.test(command) || JOB_IMAGE.test(service.image?.value ?? '')
}
