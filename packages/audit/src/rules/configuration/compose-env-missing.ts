// Settings that a service reads and compose does not give it, where the source then falls back to localhost: in a container that is the container itself.
// Also dependants of a datastore with a password that get neither its address nor the password.
//   RX16. A variable that an env file, the Dockerfile or the entry script may set is silent, and so is a fallback that leads to nothing of this project.

import type { EnvRead, Value } from '../../facts/facts.ts'
import type { Evidence } from '../../model/evidence.ts'
import type { ComposeProject, ComposeService } from '../../repository/configuration.ts'
import { folderOf, isBelow } from '../../repository/paths.ts'
import type { Repository } from '../../repository/repository.ts'
import { contextOf, copied, dockerfileOf, instructionsOf } from './builds.ts'
import { at, type Discovery, type Rule } from './deployment.ts'
import { datastoreOf } from './images.ts'
import { isJob, oncePerPlace, seen, servicesOf, tierIn } from './projects.ts'

const meta = at({
  id: 'compose-env-missing',
  category: 'configuration',
  severity: 'high',
  title: 'A service is not given what it needs to reach another',
  why: 'Its source falls back to localhost, which in a container is the container itself: it starts, and every call fails.',
  remedy: { priority: 'P1', text: 'Set the variable; let the service refuse to start without it.', effort: 'XS' },
  sources: ['https://docs.docker.com/compose/how-tos/networking/'],
})

export const composeEnvMissing: Rule = {
  meta,
  *run(repository) {
    const found = servicesOf(repository).flatMap(({ project, service }) => {
      if (service.envFiles.length > 0 || project.isOverridden || isJob(project, service)) return []
      const fallbacks = fallbacksOf(repository, project, service)
      // Two services of one build: who of them runs which source is not known here.
      if (fallbacks.length > 0)
        return [discovery(service, fallbacks, isShared(project, service) ? 'review' : tierIn(project, service.loc))]
      return unreached(repository, project, service)
    })
    yield* oncePerPlace(found)
  },
}

function isShared(project: ComposeProject, { name, build }: ComposeService): boolean {
  return [...project.services.values()].some(
    (other) =>
      other.name !== name &&
      other.build?.context.value === build?.context.value &&
      other.build?.dockerfile?.value === build?.dockerfile?.value,
  )
}

function discovery(service: ComposeService, places: readonly Evidence[], tier: Discovery['tier']): Discovery {
  return {
    tier,
    symbol: service.name,
    component: service.name,
    symptom: `${service.name} starts and cannot reach what it needs.`,
    rootCause: 'Its environment lacks the address or the credential.',
    evidence: [
      seen(service.environmentLoc, `The environment of ${service.name} leaves out what its work needs.`),
      ...places,
    ],
  }
}

function fallbacksOf(repository: Repository, project: ComposeProject, service: ComposeService): readonly Evidence[] {
  const context = contextOf(repository, service.build)
  const dockerfile = dockerfileOf(repository, service)
  if (context === undefined || dockerfile === undefined) return []
  const given = new Set([...service.environment.keys()].map((name) => name.toUpperCase()))
  const inImage = instructionsOf(dockerfile.stages)
    .filter(({ name }) => name === 'ENV' || name === 'ARG' || name === 'ENTRYPOINT')
    .map(({ text }) => text)
    .join('\n')
    .toUpperCase()
  // One context for many services: what lies beside the Dockerfile is the service's own.
  const own = folderOf(dockerfile.file)
  const inside = copied(repository, instructionsOf(dockerfile.stages), context, service.build?.args).flatMap(
    ({ paths }) => paths,
  )
  const found = new Map<string, Evidence>()
  for (const [file, { envReads }] of repository.facts) {
    if (!isBelow(file, own) || !inside.some((path) => isBelow(file, path))) continue
    for (const read of envReads) {
      const name = read.name.toUpperCase()
      const other = target(project, service, read)
      if (other === undefined || given.has(name) || inImage.includes(name) || found.has(name)) continue
      const loc = { file, line: read.line, endLine: read.endLine }
      found.set(name, {
        provenance: 'static',
        loc,
        what: `${read.name} falls back to localhost, where ${other} is not.`,
      })
    }
  }
  return [...found.values()]
}

/** The service of the project that a fallback to localhost means, by its scheme or port. */
function target(project: ComposeProject, service: ComposeService, read: EnvRead): string | undefined {
  const text = textOf(read.fallback)
  const match = /^(?:([a-z]+)[a-z0-9+]*:\/\/)?(?:[^@/\s]*@)?(?:localhost|127\.0\.0\.1)(?::(\d+))?(?=[/?]|$)/.exec(text)
  if (match === null) return undefined
  const [, scheme = '', port] = match
  if (scheme === '' && port === undefined) return undefined
  for (const other of project.services.values()) {
    if (other.name === service.name) continue
    const store = datastoreOf(other.image?.value ?? '')
    if (
      store !== undefined
        ? scheme === store.kind ||
          (store.kind === 'postgres' && scheme.startsWith('postgres')) ||
          (scheme === 'rediss' && store.kind === 'redis')
        : false
    )
      return other.name
    // Ports below 1024 and those of front ends say little of who is meant.
    if (
      port !== undefined &&
      /^https?$|^$/.test(scheme) &&
      !COMMON.has(port) &&
      other.ports.some(({ container }) => container === port)
    )
      return other.name
  }
  return undefined
}

const COMMON = new Set(['80', '443', '3000', '5173', '8080', '8000', '9090', '4317', '4318'])

function textOf(value: Value | undefined): string {
  return value?.kind === 'string' ? value.value : ''
}

/** It waits for a datastore that asks for a password, and nothing that it is given says where it is or what the password is. */
function unreached(repository: Repository, project: ComposeProject, service: ComposeService): readonly Discovery[] {
  if (service.build !== undefined && contextOf(repository, service.build) !== undefined) return []
  if (service.environment.size === 0) return []
  const given = [...service.environment]
    .map(([name, { value, raw }]) => `${name}=${value} ${raw}`)
    .join('\n')
    .toLowerCase()
  const lost = [...service.dependsOn.keys()].filter((name) => {
    const other = project.services.get(name)
    const store = datastoreOf(other?.image?.value ?? '')
    if (other === undefined || store === undefined || !hasPassword(other)) return false
    const told = [...project.services.values()].some(
      (each) =>
        each.name !== service.name && [...each.environment.values()].some(({ value }) => value.includes(`${name}:`)),
    )
    return told && ![name, store.kind, 'database', 'db_', 'cache'].some((word) => given.includes(word.toLowerCase()))
  })
  if (lost.length === 0) return []
  const place = seen(service.loc, `It depends on ${lost.join(', ')}, which others are given an address for.`)
  return [discovery(service, [place], 'review')]
}

function hasPassword(service: ComposeService): boolean {
  return (
    /--requirepass/.test(service.command?.value ?? '') ||
    [...service.environment.keys()].some((name) => /PASSWORD/.test(name))
  )
}
