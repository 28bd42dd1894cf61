// Proxies that hand on less than they were asked for: below the path that it is mounted at, a handler sees only the rest of it.
// The line is that of the call that hands it on.
//   RX25. Only a handler that is mounted below a path, hands on `path` or `url`, and never looks at the whole of it counts; strong where a service of the repository has routes
//         that begin with that path.
//   QM6. An Ingress of nginx that rewrites to the bare root hands on nothing of what stood behind its path; exact paths and targets with a group are silent.

import type { Call, FileFacts, Value } from '../../facts/facts.ts'
import type { Repository } from '../../repository/repository.ts'
import { entriesOf } from '../../system/entries.ts'
import { isInside, lastName, seenAt, symbolOf } from '../queries.ts'
import { at, type Discovery, type Rule } from './deployment.ts'

const meta = at({
  id: 'proxy-path-lost',
  category: 'configuration',
  severity: 'high',
  title: 'A proxy hands on less than the path it was asked for',
  why: 'Inside a handler that is mounted below a path, that path is cut off. What is handed on asks for something else: the far end answers 404, or with another resource.',
  remedy: { priority: 'P1', text: 'Hand on originalUrl, or put baseUrl before the path.', effort: 'XS' },
  sources: ['https://expressjs.com/en/api.html#req.originalUrl'],
})

const HANDS_ON = /proxy|forward|fetch|axios|request|got|call|send|get|post|upstream/i

export const proxyPathLost: Rule = {
  meta,
  *run(repository) {
    yield* ofIngresses(repository)
    for (const facts of repository.facts.values()) {
      if (!facts.imports.some(({ module }) => module === 'express')) continue
      for (const mount of facts.calls) {
        const [prefix, handler] = [mount.args[0], mount.args.at(-1)]
        if (lastName(mount.callee) !== 'use' || prefix?.kind !== 'string' || handler?.kind !== 'function') continue
        if (/^\/?\*?$/.test(prefix.value)) continue
        const call = lostIn(facts, handler.block)
        if (call !== undefined) yield discovery(repository, facts, prefix.value, call)
      }
    }
  },
}

/** The call that gets only the rest of the path. */
function lostIn(facts: FileFacts, handler: number): Call | undefined {
  const [request] = facts.blocks[handler]?.fn?.params ?? []
  if (request === undefined) return undefined
  const inside = facts.calls.filter(({ block }) => isInside(facts.blocks, block, handler))
  const says = (value: Value, name: RegExp): boolean => {
    if (value.kind === 'path') return value.path.text.startsWith(`${request}.`) && name.test(value.path.text)
    if (value.kind === 'template') return value.values.some((each) => says(each, name))
    if (value.kind === 'operation') return says(value.left, name) || says(value.right, name)
    return value.kind === 'object' && value.entries.some(([, inner]) => says(inner, name))
  }
  if (inside.some(({ args }) => args.some((arg) => says(arg, /\.(originalUrl|baseUrl)$/)))) return undefined
  if (
    facts.assignments.some(
      ({ block, value }) => isInside(facts.blocks, block, handler) && says(value, /\.(originalUrl|baseUrl)$/),
    )
  )
    return undefined
  return inside.find(
    ({ callee, args }) =>
      HANDS_ON.test(callee.text) &&
      !/^(console|log|logger|res|next)\b/.test(callee.text) &&
      args.some((arg) => says(arg, /\.(path|url)$/)),
  )
}

function discovery(repository: Repository, facts: FileFacts, prefix: string, call: Call): Discovery {
  const far = entriesOf(repository).find(
    ({ kind, name, site }) =>
      kind === 'route' && site.file !== facts.file && (name.endsWith(` ${prefix}`) || name.includes(` ${prefix}/`)),
  )
  return {
    tier: far === undefined ? 'review' : 'strong',
    cause: `paths handed on in ${facts.file}`,
    symbol: symbolOf(facts, call.block),
    symptom: `What is asked for below ${prefix} reaches the far end without ${prefix}.`,
    rootCause: `The handler is mounted at ${prefix}, and hands on the path as it sees it there.`,
    evidence: [
      seenAt(facts.file, { line: call.line, endLine: call.line }, `Only what follows ${prefix} is handed on.`),
      ...(far === undefined ? [] : [seenAt(far.site.file, far.site.call, `The far end has ${far.name}.`)]),
    ],
  }
}

const REWRITE = 'nginx.ingress.kubernetes.io/rewrite-target'

function* ofIngresses(repository: Repository): Iterable<Discovery> {
  // Services with nothing below their root lose nothing.
  const isRich = entriesOf(repository).some(({ kind, name }) => kind === 'route' && !/ \/?$/.test(name))
  for (const object of repository.configuration.kubernetes) {
    if (object.kind !== 'Ingress' || object.hidesBlocks) continue
    if (part(part(object.body.metadata).annotations)[REWRITE] !== '/') continue
    const paths = pathsOf(object.body)
    const [lost] = paths
    if (lost === undefined) continue
    const line = object.line(['metadata', 'annotations', REWRITE])
    yield {
      // The one before its version 0.22 appended the rest by itself.
      tier: isRich && object.apiVersion === 'networking.k8s.io/v1' ? 'strong' : 'review',
      cause: `paths handed on in ${object.file}`,
      symbol: `Ingress ${object.name}`,
      symptom: `Everything below ${paths.join(', ')} reaches its service as /.`,
      rootCause: 'The target of the rewrite has no group, so what follows the path is dropped.',
      evidence: [seenAt(object.file, { line, endLine: line }, `${lost} and all below it is rewritten to /.`)],
    }
  }
}

/** Those that are more than one address. */
function pathsOf(body: Readonly<Record<string, unknown>>): readonly string[] {
  const { rules } = part(body.spec)
  if (!Array.isArray(rules)) return []
  return rules.flatMap((rule) => {
    const { paths } = part(part(rule).http)
    if (!Array.isArray(paths)) return []
    return paths.flatMap((each) => {
      const { path, pathType } = part(each)
      return typeof path !== 'string' || path === '/' || pathType === 'Exact' ? [] : [path]
    })
  })
}

function part(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Readonly<Record<string, unknown>>)
    : {}
}
