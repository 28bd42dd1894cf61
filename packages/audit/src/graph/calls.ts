// Links from code: calls that leave the process, by the component whose file they are in and the one that they lead to; what is seen there of deadlines and
// of guards around them.
//   GR6. A deadline is present only where every call of the link has one, absent where some call is known to have none, and else not claimed at all.
//   GR7. A guard that stands around some calls of a link and not around others is bypassed; a retry is a matter of each call.
//   GR8. The need is hard where some call of the link is not caught, soft only where something is returned instead of every one; the rest is unknown. What a cache
//        is asked may fail without more.

import type { Evidence, Loc } from '../model/evidence.ts'
import type { Component, Guarantee, GuaranteeKind, SystemLink } from '../model/graph.ts'
import type { CallSite, Program } from '../program/index.ts'
import type { Repository } from '../repository/repository.ts'
import { isByHand } from '../rules/places.ts'
import { type Outbound, type OutboundClient, outboundOf } from '../system/outbound.ts'
import { type Address, type Addresses, NOT_CALLED } from './addresses.ts'
import { type Guard, guardsAround } from './around.ts'
import { reachOf, worst } from './failure.ts'
import { type Draft, outsideComponent } from './links.ts'
import type { Membership } from './membership.ts'
import type { Part } from './part.ts'

const EVIDENCE_MAX = 5

interface Group {
  readonly from: string
  readonly address: Address
  readonly calls: Outbound[]
  readonly clients: OutboundClient[]
}

export interface CodeLinks {
  readonly drafts: readonly Draft[]
  /** What is outside and has a name. */
  readonly outside: readonly Component[]
  /** The link that a call of a line belongs to: `file:line`. */
  readonly byLine: ReadonlyMap<string, string>
}

export function linksOfCalls(
  repository: Repository,
  program: Program,
  parts: readonly Part[],
  addresses: Addresses,
  membership: Membership,
): CodeLinks {
  const byName = new Map(parts.map((part) => [part.component.name, part]))
  const groups = new Map<string, Group>()
  const byLine = new Map<string, string>()
  const outside = new Map<string, Component>()
  const group = (from: Part, address: Address, site: CallSite): Group => {
    const key = `${from.component.name} -> ${address.to}`
    const place = `${site.file}:${site.call.line}`
    if (!byLine.has(place)) byLine.set(place, key)
    const found = { provenance: 'static' as const, loc: locOf(site), what: 'code calls this host' }
    if (address.isOutside && !outside.has(address.to)) outside.set(address.to, outsideComponent(address.to, found))
    const known = groups.get(key) ?? { from: from.component.name, address, calls: [], clients: [] }
    groups.set(key, known)
    return known
  }
  const { calls, clients } = outboundOf(repository)
  const alike = likelyAddresses(repository, addresses)
  const fromOf = ({ site }: { readonly site: CallSite }): Part | undefined =>
    isByHand(site.file) ? undefined : byName.get(membership.ofFile(site.file) ?? '')
  for (const client of clients) {
    const from = fromOf(client)
    const address = from && addresses.find(from, client.target, client.kind, client.library)
    if (from !== undefined && address !== undefined) group(from, address, client.site).clients.push(client)
  }
  for (const call of calls) {
    const from = fromOf(call)
    if (from === undefined) continue
    const address = addresses.find(from, call.target ?? call.client?.target, call.kind, call.library)
    const found = address === undefined ? alike(from, call) : [address]
    for (const one of found) group(from, one, call.site).calls.push(call)
  }
  return { drafts: [...groups.values()].map((one) => draftOf(one, program)), outside: [...outside.values()], byLine }
}

const ALIKE_MAX = 8

/** For a call over HTTP that does not tell where it leads: the addresses that its file reads from the environment. */
function likelyAddresses(
  { facts }: Repository,
  addresses: Addresses,
): (from: Part, call: Outbound) => readonly Address[] {
  const kept = new Map<string, readonly Address[]>()
  return (from, { kind, site: { file } }) => {
    if (kind !== 'http') return []
    const known = kept.get(file)
    if (known !== undefined) return known
    const found = new Map<string, Address>()
    for (const { name } of facts.get(file)?.envReads ?? []) {
      const address = NOT_CALLED.test(name) ? undefined : addresses.find(from, name, 'http')
      if (address?.kind === 'http')
        found.set(address.to, { ...address, because: `by ${name}, which the same file reads` })
    }
    const list = found.size > ALIKE_MAX ? [] : [...found.values()]
    kept.set(file, list)
    return list
  }
}

function locOf({ file, call: { line, endLine } }: CallSite): Loc {
  return { file, line, endLine }
}

function draftOf({ from, address, calls, clients }: Group, program: Program): Draft {
  const { to, kind, because } = address
  const sites = (calls.length > 0 ? calls : clients).map(({ site }) => locOf(site))
  const seen: Evidence = {
    provenance: 'static',
    loc: sites[0],
    what: calls.length > 0 ? `it is called, known ${because}` : `a client is made for it, known ${because}`,
    ...(calls.length > 0 ? { value: calls.length, unit: calls.length === 1 ? 'call' : 'calls' } : {}),
  }
  return {
    from,
    to,
    kind,
    ...needOf(calls, kind, program),
    sites,
    guarantees: [...deadlineOf(calls.length > 0 ? calls : clients), ...guardsOf(calls, program)],
    evidence: [seen],
  }
}

/** GR8. */
function needOf(
  calls: readonly Outbound[],
  kind: SystemLink['kind'],
  program: Program,
): Pick<Draft, 'need' | 'needBecause'> {
  if (calls.length === 0)
    return { need: 'unknown', needBecause: 'it makes a client of the other, and no call was seen' }
  const reaches = calls.map(({ site }) => reachOf(program, site))
  const through = reaches.filter((reach) => reach === 'through').length
  if (through > 0) {
    const counted = `${through} of ${calls.length} ${calls.length === 1 ? 'call is' : 'calls are'} not caught`
    return { need: 'hard', needBecause: `a failure of it reaches whoever asked: ${counted}` }
  }
  if (worst(reaches) === 'replaced' || kind === 'redis')
    return { need: 'soft', needBecause: 'every call of it is caught, and the work goes on' }
  return {
    need: 'unknown',
    needBecause: 'every call of it is caught, and what comes of the work without it was not seen',
  }
}

/** GR6. */
function deadlineOf(calls: readonly (Outbound | OutboundClient)[]): readonly Guarantee[] {
  const absent = calls.filter(({ deadline }) => deadline.state === 'absent')
  if (absent.length > 0) {
    const evidence = absent.slice(0, EVIDENCE_MAX).map(
      ({ site, deadline, library }): Evidence => ({
        provenance: 'static',
        loc: locOf(site),
        what: `a call by ${library} without a deadline`,
        ...(deadline.state === 'absent' ? { source: deadline.source } : {}),
      }),
    )
    const counted: Evidence = {
      provenance: 'static',
      loc: undefined,
      what: `calls without a deadline, of ${calls.length}`,
      value: absent.length,
      unit: 'calls',
    }
    return [{ kind: 'deadline', state: 'absent', evidence: [...evidence, counted] }]
  }
  const set = calls.filter(({ deadline }) => deadline.state === 'present' || deadline.state === 'default')
  if (calls.length === 0 || set.length < calls.length) return []
  return [{ kind: 'deadline', state: 'present', evidence: set.slice(0, EVIDENCE_MAX).map(deadlineEvidence) }]
}

function deadlineEvidence({ deadline, site, library }: Outbound | OutboundClient): Evidence {
  if (deadline.state === 'present') {
    const value = deadline.ms === undefined ? {} : { value: deadline.ms, unit: 'ms' }
    return { provenance: 'static', loc: locOf(deadline.site), what: 'a deadline is set', ...value }
  }
  if (deadline.state === 'default')
    return {
      provenance: 'static',
      loc: locOf(site),
      what: `${library} has one of its own`,
      value: deadline.ms,
      unit: 'ms',
      source: deadline.source,
    }
  return { provenance: 'static', loc: locOf(site), what: 'not seen' }
}

/** GR7. */
function guardsOf(calls: readonly Outbound[], program: Program): readonly Guarantee[] {
  const around = calls.map(({ site }) => guardsAround(program, site))
  const kinds = new Set(around.flat().map(({ kind }) => kind))
  return [...kinds].map((kind: GuaranteeKind): Guarantee => {
    const guards = around.flatMap((list): readonly Guard[] => list.filter((one) => one.kind === kind).slice(0, 1))
    const state = kind === 'retry' || guards.length === calls.length ? 'present' : 'bypassed'
    const evidence = guards.slice(0, EVIDENCE_MAX).map(
      ({ name, file, line }): Evidence => ({
        provenance: 'static',
        loc: { file, line, endLine: line },
        what: `${name} stands around ${guards.length} of ${calls.length} calls`,
      }),
    )
    return { kind, state, evidence }
  })
}
