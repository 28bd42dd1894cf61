// Which services of a deployment run a file: those that are built from a folder it lies in. A service that is built from the whole repository is taken only
// where it is the only one.

import type { ComposeProject, ComposeService } from '../../repository/configuration.ts'
import { isRun } from '../../repository/deployments.ts'
import { folderOf, resolveFrom, resolveIn } from '../../repository/paths.ts'
import type { Repository } from '../../repository/repository.ts'

export interface Deployed {
  readonly project: ComposeProject
  readonly service: ComposeService
}

const KEPT = new WeakMap<Repository, readonly (Deployed & { readonly folder: string })[]>()

function builtOf(repository: Repository): readonly (Deployed & { readonly folder: string })[] {
  const kept = KEPT.get(repository)
  if (kept !== undefined) return kept
  const found: (Deployed & { readonly folder: string })[] = []
  for (const project of repository.configuration.compose) {
    if (!isRun(project, repository.files)) continue
    for (const service of project.services.values()) {
      const context = service.build?.context
      const target = context === undefined ? undefined : resolveFrom(context.loc.file, context.value)
      if (target === undefined || typeof target === 'string') continue
      const dockerfile = resolveIn(target.path, service.build?.dockerfile?.value ?? 'Dockerfile')
      const inner = typeof dockerfile === 'string' ? target.path : folderOf(dockerfile.path)
      found.push({ project, service, folder: inner.startsWith(target.path) ? inner : target.path })
    }
  }
  KEPT.set(repository, found)
  return found
}

export function servicesOf(repository: Repository, path: string): readonly Deployed[] {
  const built = builtOf(repository)
  const own = built.filter(({ folder }) => folder !== '' && path.startsWith(`${folder}/`))
  const longest = Math.max(0, ...own.map(({ folder }) => folder.length))
  if (longest > 0) return own.filter(({ folder }) => folder.length === longest)
  return built.filter(
    ({ project, folder }) => folder === '' && built.filter((each) => each.project === project).length === 1,
  )
}

/** Replicas that its deployments say; 1 where they say nothing. */
export function replicasOf(repository: Repository, path: string): number {
  return Math.max(1, ...servicesOf(repository, path).map(({ service }) => service.replicas))
}
