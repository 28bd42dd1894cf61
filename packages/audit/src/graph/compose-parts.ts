// Services of a compose project as parts. Which source is whose: what its Dockerfile copies, what its command starts, what is mounted into it, and its build
// context, unless several services are built from one.
//   GR2. What a service copies, starts or mounts is its own before it is that of another that is built from the same context; the rest of such a context is the
//        first one's, and of a whole repository, from which different images are built, nobody's.

import type { Component, Guarantee } from '../model/graph.ts'
import { readDotenv } from '../readers/dotenv.ts'
import type { ComposeProject, ComposeService, Configuration, Dockerfile, Located } from '../repository/configuration.ts'
import { isJob } from '../repository/deployments.ts'
import { folderOf, isBelow, join, resolveFrom } from '../repository/paths.ts'
import type { FileIndex } from '../repository/repository.ts'
import { isStore, knownOf } from './images.ts'
import type { Part } from './part.ts'
import { copiedInto, folderNamed, holdsSource, startedBy } from './sources.ts'

export function composeParts(project: ComposeProject, configuration: Configuration, files: FileIndex): readonly Part[] {
  const services = [...project.services.values()]
  const contexts = services.map((service) => contextOf(service))
  const images = services.map((service) => dockerfileOf(service, contextOf(service), configuration)?.file)
  const isFirst = (context: string, index: number): boolean => {
    const others = contexts.flatMap((other, at) => (other === context && at !== index ? [at] : []))
    if (context === '' && others.some((at) => images[at] !== images[index])) return false
    return others.every((at) => at > index)
  }
  return services.map((service, index) => {
    const context = contexts[index]
    const specific = [...copied(service, context, configuration, files), ...mounted(service, files)]
    const whole = context !== undefined && isFirst(context, index) ? [context] : []
    const named =
      service.build === undefined && whole.length === 0
        ? (folderNamed(service.name, configuration) ?? folderNamed(service.name.replace(/^[^-]*-/, ''), configuration))
        : undefined
    const all = [...new Set([...specific, ...whole, ...(named === undefined ? [] : [named])])]
    const sources = all.filter((one) => !all.some((other) => other !== one && isBelow(one, other)))
    const base = dockerfileOf(service, context, configuration)?.stages.at(-1)?.base.value
    return toPart(project, service, { sources, base }, files)
  })
}

function toPart(
  project: ComposeProject,
  service: ComposeService,
  { sources, base }: { readonly sources: readonly string[]; readonly base: string | undefined },
  files: FileIndex,
): Part {
  const { name, loc, image, ports, replicas, healthcheck } = service
  // An image that is built on a datastore's is one.
  const known = knownOf(service.build === undefined ? (image?.value ?? '') : (base ?? ''))
  const kind = known.kind === 'service' && isJob(project, service) ? 'job' : known.kind
  const component: Component = {
    name,
    kind,
    sources: isStore({ kind }) ? [] : sources,
    image: image?.value,
    replicas,
    isPublished: ports.some(({ published, host }) => published !== undefined && !/^(127\.|localhost)/.test(host ?? '')),
    owner: undefined,
    guarantees: guaranteesOf(service, isStore({ kind })),
    evidence: [{ provenance: 'config', loc, what: `a service of ${project.file}` }],
  }
  return {
    component,
    system: '',
    link: known.link,
    names: service.names,
    ports: ports.flatMap(({ published, container }) => [published ?? '', container]).filter((port) => port !== ''),
    environment: environmentOf(service, files),
    waits: [...service.dependsOn].map(([to, { value, loc: at }]) => ({ to, condition: value, loc: at })),
    isChecked: healthcheck !== undefined && !healthcheck.isDisabled,
  }
}

/** Undefined: it is not built from this repository. */
function contextOf({ build }: ComposeService): string | undefined {
  if (build === undefined) return undefined
  const found = resolveFrom(build.context.loc.file, build.context.value)
  return typeof found === 'string' ? undefined : found.path
}

function copied(
  service: ComposeService,
  context: string | undefined,
  configuration: Configuration,
  files: FileIndex,
): readonly string[] {
  const { command } = service
  if (context === undefined) return startedBy(command?.value ?? '', '', files)
  const dockerfile = dockerfileOf(service, context, configuration)
  const own =
    dockerfile === undefined
      ? []
      : [dockerfile.file, ...beside(dockerfile, context, files), ...copiedInto(dockerfile, context, files)]
  const last = dockerfile?.stages.at(-1)?.instructions.findLast(({ name }) => name === 'CMD' || name === 'ENTRYPOINT')
  return [...own, ...startedBy(command?.value ?? last?.text ?? '', context, files)]
}

/** A Dockerfile that lies with source, deeper than its context, is that source's. */
function beside({ file }: Dockerfile, context: string, files: FileIndex): readonly string[] {
  const folder = folderOf(file)
  return folder !== context && folder !== '' && holdsSource(folder, files) ? [folder] : []
}

function dockerfileOf(
  { build }: ComposeService,
  context: string | undefined,
  { dockerfiles }: Configuration,
): Dockerfile | undefined {
  if (context === undefined) return undefined
  const path = join(context, (build?.dockerfile?.value ?? 'Dockerfile').replace(/^\.\//, ''))
  return dockerfiles.find(({ file }) => file === path)
}

/** Source that is mounted into it; folders of logs and data hold none. */
function mounted({ volumes }: ComposeService, files: FileIndex): readonly string[] {
  return volumes.flatMap(({ isBind, source, loc }) => {
    const found = isBind && source !== undefined ? resolveFrom(loc.file, source) : 'outside'
    if (typeof found === 'string' || found.path === '') return []
    return holdsSource(found.path, files) ? [found.path] : []
  })
}

function environmentOf(
  { environment, envFiles }: ComposeService,
  files: FileIndex,
): ReadonlyMap<string, Located<string>> {
  const all = new Map<string, Located<string>>()
  for (const { value, loc } of envFiles) {
    const found = resolveFrom(loc.file, value)
    const text = typeof found === 'string' ? undefined : files.read(found.path)
    if (typeof found === 'string' || text === undefined) continue
    for (const [name, set] of readDotenv(found.path, text)) all.set(name, set)
  }
  for (const [name, written] of environment) all.set(name, written)
  return all
}

function guaranteesOf(service: ComposeService, isOfStore: boolean): readonly Guarantee[] {
  const { restart, healthcheck, replicas, volumes, loc } = service
  const say = (kind: Guarantee['kind'], holds: boolean, at: typeof loc, what: string, value?: number): Guarantee => ({
    kind,
    state: holds ? 'present' : 'absent',
    evidence: [{ provenance: 'config', loc: at, what, ...(value === undefined ? {} : { value, unit: 'replicas' }) }],
  })
  const restarts = restart !== undefined && !/^(no|none|false)$/.test(restart.value)
  const isChecked = healthcheck !== undefined && !healthcheck.isDisabled
  const keeps = volumes.find(({ target }) => /data|lib|storage|db/i.test(target))
  return [
    say(
      'restart',
      restarts,
      restart?.loc ?? loc,
      restarts ? 'is started again when it ends' : 'stays down once it ends',
    ),
    say(
      'health',
      isChecked,
      healthcheck?.loc ?? loc,
      isChecked ? 'has a check of health' : 'has no check of health of its own',
    ),
    say('replicas', replicas > 1, loc, 'runs as often as this says', replicas),
    ...(isOfStore
      ? [
          say(
            'durability',
            keeps !== undefined,
            keeps?.loc ?? loc,
            keeps === undefined ? 'has no volume for its data' : 'keeps its data in a volume',
          ),
        ]
      : []),
  ]
}
