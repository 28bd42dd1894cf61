// Certificates that are not verified: the line is encrypted to whoever answers.
//   SU4. What operators switch off by a setting of that name, and development's files, are silent; what only holds in a branch is for review.

import type { FileFacts, Value } from '../../facts/facts.ts'
import type { Loc } from '../../model/evidence.ts'
import type { Repository } from '../../repository/repository.ts'
import { servicesOf, tierIn } from '../configuration/projects.ts'
import { lastName, symbolOf } from '../queries.ts'
import type { Discovery, Rule } from '../rule.ts'
import { locOf, type Named, namedOf } from './literals.ts'
import { isAside } from './places.ts'

const SENDS = /^(get|post|put|patch|delete|head|options|request|Client|AsyncClient|Session|stream|urlopen|send)$/
const CHOSEN = /verif|insecure|skip|debug|dev|test|local|self_?signed|allow|disable|unsafe/i

export const tlsVerificationOff: Rule = {
  meta: {
    id: 'tls-verification-off',
    category: 'security',
    severity: 'high',
    title: 'Certificates are not verified',
    why: 'Whoever stands between the two can answer in the name of the other, read what is sent and change what comes back. That it is encrypted does not help.',
    remedies: [
      {
        priority: 'P1',
        text: 'Verify; give the authority that signed the certificate to the client (ca, verify=path).',
        effort: 'S',
      },
    ],
    sources: ['https://cwe.mitre.org/data/definitions/295.html'],
  },
  *run(repository: Repository): Iterable<Discovery> {
    for (const facts of repository.facts.values()) {
      if (isAside(facts.file)) continue
      for (const named of namedOf(facts)) {
        const text = isOff(named)
        if (text !== undefined)
          yield* discovery(facts, named.place.block, locOf(repository, facts.file, named.place, named.name, text))
      }
      for (const call of facts.calls)
        if (call.callee.text === 'ssl._create_unverified_context')
          yield* discovery(facts, call.block, { file: facts.file, line: call.line, endLine: call.line })
    }
    yield* inCompose(repository)
  },
}

/** The text by which it is switched off; undefined: it is not. */
function isOff({ name, value, call, isChoice }: Named): string | undefined {
  const isFalse = value.kind === 'boolean' && !value.value
  if (/^(rejectUnauthorized|strictSSL)$/.test(name) && isFalse) return 'false'
  if (name === 'NODE_TLS_REJECT_UNAUTHORIZED' && value.kind === 'string' && value.value === '0') return '0'
  // One of two that a setting chooses.
  if (isChoice) return undefined
  if (name === 'verify' && isFalse) return call === undefined || SENDS.test(lastName(call.callee)) ? 'False' : undefined
  if (/^(verify_mode|cert_reqs|ssl_cert_reqs)$/.test(name) && isNone(value)) return 'CERT_NONE'
  return undefined
}

function isNone(value: Value): boolean {
  return value.kind === 'path' && /(^|\.)CERT_NONE$/.test(value.path.text)
}

function* discovery(facts: FileFacts, block: number, loc: Loc): Iterable<Discovery> {
  let tier: Discovery['tier'] = 'strong'
  for (let at = block; at >= 0; at = facts.blocks[at]?.parent ?? -1) {
    const each = facts.blocks[at]
    if (each?.kind === 'function') break
    if (each?.kind !== 'branch' && each?.kind !== 'otherwise') continue
    if (CHOSEN.test(JSON.stringify(each.test ?? facts.blocks[each.of ?? -1]?.test ?? ''))) return
    tier = 'review'
  }
  yield {
    tier,
    cause: `certificates in ${facts.file}`,
    symbol: symbolOf(facts, block),
    symptom: 'Whoever can answer on that line is believed, and gets what is sent.',
    rootCause: 'The verification of certificates is switched off in code.',
    evidence: [{ provenance: 'static', loc, what: 'Certificates are not verified.' }],
  }
}

function* inCompose(repository: Repository): Iterable<Discovery> {
  for (const { project, service } of servicesOf(repository)) {
    const written = service.environment.get('NODE_TLS_REJECT_UNAUTHORIZED')
    if (written?.value !== '0') continue
    yield {
      tier: tierIn(project, written.loc),
      symbol: service.name,
      component: service.name,
      cause: `certificates in ${written.loc.file}`,
      symptom: 'Whoever can answer on any of its lines is believed.',
      rootCause: `${service.name} verifies no certificate at all.`,
      evidence: [{ provenance: 'config', loc: written.loc, what: 'Certificates are not verified.' }],
    }
  }
}
