// From the merged map of a service to what rules read.

import type { Loc } from '../../model/evidence.ts'
import type {
  ComposeBuild,
  ComposePort,
  ComposeService,
  ComposeVolume,
  Located,
  Written,
} from '../../repository/configuration.ts'
import { at, type Entry, entriesOf, itemsOf, scalarText, type Tree } from '../yaml.ts'
import { SHORT } from './merge.ts'

type Condition = 'service_started' | 'service_healthy' | 'service_completed_successfully'

export function readService(name: string, { loc, value: tree }: Entry): ComposeService {
  const environment = at(tree, 'environment')
  const deploy = at(tree, 'deploy')
  return {
    name,
    loc,
    image: written(at(tree, 'image')),
    build: readBuild(tree),
    command: written(at(tree, 'command')),
    entrypoint: written(at(tree, 'entrypoint')),
    dependsOn: readDependsOn(tree),
    shortDependsOn: shortLoc(tree),
    healthcheck: readHealthcheck(tree),
    restart: located(at(tree, 'restart')) ?? located(at(deploy, 'restart_policy', 'condition')) ?? anyPolicy(deploy),
    environment: new Map([...entriesOf(environment)].map(([key, entry]) => [key, variable(entry)])),
    environmentLoc: entriesOf(tree).get('environment')?.loc ?? loc,
    envFiles: itemsOf(at(tree, 'env_file')).flatMap((item) => located(at(item, 'path') ?? item) ?? []),
    ports: itemsOf(at(tree, 'ports')).flatMap(readPort),
    volumes: itemsOf(at(tree, 'volumes')).flatMap(readVolume),
    profiles: itemsOf(at(tree, 'profiles')).flatMap((item) => scalarText(item) ?? []),
    networks: [...entriesOf(at(tree, 'networks')).keys()],
    names: readNames(name, tree),
    reaches: readReaches(tree),
    replicas: count(at(deploy, 'replicas')) ?? count(at(tree, 'scale')) ?? 1,
    hasLimits: at(deploy, 'resources', 'limits') !== undefined || at(tree, 'mem_limit') !== undefined,
  }
}

function written(tree: Tree | undefined): Written | undefined {
  if (tree?.kind === 'list') {
    const items = tree.items.filter((item) => item.kind === 'scalar')
    const raw = items.map((item) => item.raw ?? item.text).join(' ')
    return { value: items.map((item) => item.text).join(' '), raw, loc: tree.loc }
  }
  const value = scalarText(tree)
  return value === undefined || tree?.kind !== 'scalar' ? undefined : { value, raw: tree.raw ?? value, loc: tree.loc }
}

function located(tree: Tree | undefined): Located<string> | undefined {
  const value = scalarText(tree)
  return tree === undefined || value === undefined ? undefined : { value, loc: tree.loc }
}

function variable({ loc, value }: Entry): Written {
  const text = scalarText(value) ?? ''
  return { value: text, raw: value.kind === 'scalar' ? (value.raw ?? text) : text, loc }
}

/** A policy without condition is `any`. */
function anyPolicy(deploy: Tree | undefined): Located<string> | undefined {
  const policy = at(deploy, 'restart_policy')
  return policy === undefined ? undefined : { value: 'any', loc: policy.loc }
}

function readBuild(tree: Tree): ComposeBuild | undefined {
  const build = at(tree, 'build')
  if (build?.kind !== 'map') return undefined
  const context = located(at(build, 'context')) ?? { value: '.', loc: build.loc }
  const isInline = at(build, 'dockerfile_inline') !== undefined
  const dockerfile = isInline ? { value: '', loc: build.loc } : located(at(build, 'dockerfile'))
  return { context, dockerfile, target: scalarText(at(build, 'target')), args: readArguments(at(build, 'args')) }
}

/** A map, or a list of `NAME=value`. */
function readArguments(tree: Tree | undefined): ReadonlyMap<string, string> {
  const pairs = itemsOf(tree).map((item) => /^([^=]+)=(.*)$/.exec(scalarText(item) ?? '') ?? [])
  const given = tree?.kind === 'list' ? [] : [...entriesOf(tree)]
  return new Map([
    ...given.map(([name, { value }]): [string, string] => [name, scalarText(value) ?? '']),
    ...pairs.flatMap(([, name, value]): [string, string][] => (name === undefined ? [] : [[name, value ?? '']])),
  ])
}

function readDependsOn(tree: Tree): ReadonlyMap<string, Located<Condition>> {
  const found = new Map<string, Located<Condition>>()
  for (const [name, entry] of entriesOf(at(tree, 'depends_on'))) {
    const text = scalarText(at(entry.value, 'condition'))
    const isKnown = text === 'service_healthy' || text === 'service_completed_successfully'
    found.set(name, { value: isKnown ? text : 'service_started', loc: entry.loc })
  }
  return found
}

function shortLoc(tree: Tree): Loc | undefined {
  const entry = entriesOf(tree).get('depends_on')
  if (entry === undefined) return undefined
  const short = [...entriesOf(entry.value).values()]
    .map(({ value }) => at(value, 'condition'))
    .find((condition) => condition?.tag === SHORT)
  // Laid over a long form, the list stands in the other file.
  return short?.loc.file === entry.loc.file ? entry.loc : short?.loc
}

function readHealthcheck(tree: Tree): ComposeService['healthcheck'] {
  const entry = entriesOf(tree).get('healthcheck')
  if (entry === undefined) return undefined
  const test = entriesOf(entry.value).get('test')
  const text = written(test?.value)?.value ?? ''
  const isDisabled = scalarText(at(entry.value, 'disable')) === 'true' || text === 'NONE'
  return { test: text, isDisabled, loc: test?.loc ?? entry.loc }
}

function readPort(tree: Tree): readonly ComposePort[] {
  if (tree.kind === 'map') {
    const container = scalarText(at(tree, 'target')) ?? ''
    const published = scalarText(at(tree, 'published'))
    const port = { value: container, container, published, host: scalarText(at(tree, 'host_ip')), loc: tree.loc }
    return [port]
  }
  const value = scalarText(tree)
  if (value === undefined) return []
  const match = /^(?:(\[[^\]]*\]|[^:]*):)?(?:([\d-]*):)?([\d-]+)(?:\/\w+)?$/.exec(value)
  if (match === null) return []
  const [, first, second, container = ''] = match
  // Of `8080:80` the first part is a port, of `127.0.0.1:8080:80` an address.
  const isAddress = second !== undefined || (first !== undefined && /[.[]/.test(first))
  const published = isAddress ? second : first
  return [{ value, container, published, host: isAddress ? first : undefined, loc: tree.loc }]
}

function readVolume(tree: Tree): readonly ComposeVolume[] {
  if (tree.kind === 'map') {
    const source = scalarText(at(tree, 'source'))
    const target = scalarText(at(tree, 'target')) ?? ''
    const isReadOnly = scalarText(at(tree, 'read_only')) === 'true'
    const isBind =
      scalarText(at(tree, 'type')) === 'bind' && scalarText(at(tree, 'bind', 'create_host_path')) !== 'false'
    return [{ value: `${source ?? ''}:${target}`, source, target, isBind, isReadOnly, loc: tree.loc }]
  }
  const value = scalarText(tree)
  if (value === undefined) return []
  const [first = '', second, mode = ''] = value.split(':')
  const source = second === undefined ? undefined : first
  const isBind = source !== undefined && /^[./~]/.test(source)
  return [{ value, source, target: second ?? first, isBind, isReadOnly: mode.split(',').includes('ro'), loc: tree.loc }]
}

function readNames(name: string, tree: Tree): readonly string[] {
  const own = [scalarText(at(tree, 'container_name')), scalarText(at(tree, 'hostname'))]
  const aliases = [...entriesOf(at(tree, 'networks')).values()].flatMap(({ value }) =>
    itemsOf(at(value, 'aliases')).map(scalarText),
  )
  return [name, ...[...own, ...aliases].filter((each) => each !== undefined)]
}

function readReaches(tree: Tree): readonly string[] {
  const links = [...itemsOf(at(tree, 'links')), ...itemsOf(at(tree, 'external_links'))]
  const hosts = at(tree, 'extra_hosts')
  const listed = itemsOf(hosts).map((item) => (scalarText(item) ?? '').split(/[:=]/, 1)[0] ?? '')
  const linked = links.flatMap((item) => (scalarText(item) ?? '').split(':'))
  return [...linked, ...listed, ...entriesOf(hosts).keys()]
}

function count(tree: Tree | undefined): number | undefined {
  const value = Number(scalarText(tree) ?? Number.NaN)
  return Number.isInteger(value) && value >= 0 ? value : undefined
}
