// Calls that leave the process: over HTTP, RPC, to databases, caches and brokers; and the clients that they are made with. What is known of a library (its
// defaults, how it says no) comes from the knowledge base; what a call or its client overrides comes from facts, through wrappers and configured instances.
//   OU1. A call is told only where its name leads to a library, or to a client that one made: by imports, fields, constants and functions that hand it out.

import type { Call } from '../facts/facts.ts'
import { callNamed, type Library } from '../knowledge/index.ts'
import { type CallSite, type IndexedFile, type Program, programOf } from '../program/index.ts'
import type { Repository } from '../repository/repository.ts'
import { type Clients, findClients } from './clients.ts'
import type { Deadline, Outbound, OutboundCalls, OutboundClient } from './contract.ts'
import { ofLibrary, saidAt } from './deadline.ts'
import { family, fullName, importsLibrary } from './names.ts'
import { type ProcessDefaults, readProcessDefaults } from './process-defaults.ts'
import { effectOf, targetOf } from './targets.ts'
import { declaredMajor } from './versions.ts'

export type { Deadline, Outbound, OutboundCalls, OutboundClient } from './contract.ts'

const KEPT = new WeakMap<Repository, OutboundCalls>()

/** Found once for a repository, and kept. */
export function outboundOf(repository: Repository): OutboundCalls {
  const kept = KEPT.get(repository) ?? findOutbound(repository)
  KEPT.set(repository, kept)
  return kept
}

function findOutbound(repository: Repository): OutboundCalls {
  const program = programOf(repository.facts)
  const defaults = readProcessDefaults(repository, program)
  const clients = findClients(repository, program, defaults)
  const found = new Map<Call, Outbound>()
  const finder = { repository, program, defaults, clients }
  for (const path of program.files) {
    const file = program.file(path)
    if (file === undefined) continue
    for (const call of file.facts.calls) {
      const outbound = outboundAt(finder, file, { file: path, call })
      if (outbound !== undefined) found.set(call, outbound)
    }
  }
  return { calls: [...found.values()], clients: clients.all, at: ({ call }) => found.get(call) }
}

interface Finder {
  readonly repository: Repository
  readonly program: Program
  readonly defaults: ProcessDefaults
  readonly clients: Clients
}

function outboundAt(finder: Finder, file: IndexedFile, site: CallSite): Outbound | undefined {
  const { callee } = site.call
  const name = callee.root === 'global' || importsLibrary(file.facts) ? fullName(file, callee) : undefined
  const direct = name === undefined ? undefined : callNamed(family(file.facts.language), name)
  if (direct !== undefined) {
    // `axios(…)` and `axios.create(…)` begin alike; what makes a client calls nobody.
    if (finder.clients.madeBy(site.call) !== undefined) return undefined
    return describe(finder, site, direct, undefined, callee.text.slice(callee.text.lastIndexOf('.') + 1))
  }
  const used = finder.clients.usedBy(file, site)
  return used === undefined ? undefined : describe(finder, site, used.client.knowledge, used.client, used.method)
}

function describe(
  finder: Finder,
  site: CallSite,
  library: Library,
  client: OutboundClient | undefined,
  method: string,
): Outbound {
  return {
    site,
    library: library.name,
    kind: library.kind,
    effect: effectOf(site.call, method),
    deadline: deadlineOf(finder, site, library, client, method),
    refusal: library.refusal,
    target: targetOf(finder.program, site) ?? client?.target,
    client,
    knowledge: library,
  }
}

/** OU4. */
function deadlineOf(
  { repository, program, defaults }: Finder,
  site: CallSite,
  library: Library,
  client: OutboundClient | undefined,
  method: string,
): Deadline {
  const major = declaredMajor(repository, site.file, library.name)
  const said = saidAt({ program, site, library, major }, library.answer, optionsFrom(library, site.call, method))
  if (said !== undefined) return said
  if (client !== undefined) return client.deadline
  return defaults.of(library) ?? ofLibrary(library, library.answer, major)
}

/** Where options begin among the arguments of a call. */
function optionsFrom(library: Library, { args }: Call, method: string): number {
  if (library.language === 'python') return Number.POSITIVE_INFINITY
  if (library.name === 'axios' || library.name === '@nestjs/axios') {
    if (/^(?:post|put|patch)(?:Form)?$/.test(method)) return 2
    return method === 'request' || (args.length < 2 && !/^(?:get|delete|head|options)$/.test(method)) ? 0 : 1
  }
  // A document and its variables, or all in one object.
  if (library.name === 'graphql-request') return args[0]?.kind === 'object' ? 0 : Number.POSITIVE_INFINITY
  if (library.name === 'http-proxy') return 0
  if (library.name === 'needle' && method === 'needle') return 2
  // A request that was made elsewhere carries its signal.
  const [first] = args
  const isRequest = args.length === 1 && first?.kind === 'path' && /(?:^|\.)(?:req|request)$/i.test(first.path.text)
  if (library.name === 'node' || isRequest) return 0
  return library.kind === 'http' || library.kind === 'grpc' ? 1 : Number.POSITIVE_INFINITY
}
