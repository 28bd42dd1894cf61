// Tokens whose signature is not checked: anybody can write one, with any name in it.
//   SU5. A function that looks into a token and verifies it too is silent; one that says by its name that it only looks is for review, and so is a library's `decode` where
//        nothing of the package verifies.

import type { Call, FileFacts, Value } from '../../facts/facts.ts'
import { programOf } from '../../program/index.ts'
import { folderOf, isBelow, join } from '../../repository/paths.ts'
import type { Repository } from '../../repository/repository.ts'
import { contentsOf } from '../contents.ts'
import { callsOf, lastName, optionOf, seenAt, symbolOf } from '../queries.ts'
import type { Discovery, Rule } from '../rule.ts'
import { isAside } from './places.ts'

const LOOKING = /unverified|unsafe|peek|inspect|debug|extract|without|expir|introspect|log/i

export const jwtUnverified: Rule = {
  meta: {
    id: 'jwt-unverified',
    category: 'security',
    severity: 'critical',
    title: 'A token is believed without its signature',
    why: 'The payload of a token is text that anybody can write. Without the signature it says nothing about who sent it.',
    remedies: [
      {
        priority: 'P0',
        text: 'Verify with the key of the issuer and a fixed list of algorithms before reading any claim.',
        effort: 'S',
      },
    ],
    sources: ['https://cwe.mitre.org/data/definitions/347.html', 'https://www.rfc-editor.org/rfc/rfc8725'],
  },
  *run(repository: Repository): Iterable<Discovery> {
    for (const { facts, call } of callsOf(programOf(repository.facts), READS)) {
      const found = isAside(facts.file) ? undefined : judge(repository, facts, call)
      if (found === undefined) continue
      yield {
        tier: found.tier,
        symbol: symbolOf(facts, call.block),
        symptom: 'Whoever writes a token of their own is taken for anybody they name in it.',
        rootCause: found.why,
        evidence: [seenAt(facts.file, call, found.why)],
      }
    }
  },
}

const READS = new Set(['decode', 'verify', 'decodeJwt'])

interface Judged {
  readonly tier: Discovery['tier']
  readonly why: string
}

function judge(repository: Repository, facts: FileFacts, call: Call): Judged | undefined {
  const { callee } = call
  if (!/(^|[/#:.])(jwt|jsonwebtoken|jose|PyJWT)/.test(`${callee.root}.${callee.text}`)) return undefined
  if (hasNone(optionOf(call, 'algorithms')))
    return { tier: 'strong', why: 'Tokens without any signature are accepted.' }
  if (facts.language === 'python') return isOff(call) && !verifiesToo(facts, call) ? ofPython(facts, call) : undefined
  const isDecode = /^import:(jsonwebtoken|jose|jwt-decode)/.test(callee.root) && /^decode/.test(lastName(callee))
  if (!isDecode || /\.[jt]sx$/.test(facts.file) || !isServer(facts) || verifiesNear(repository, facts)) return undefined
  return { tier: 'review', why: 'decode reads a token without checking it, and nothing of the package verifies.' }
}

function ofPython(facts: FileFacts, call: Call): Judged {
  const isLooking = LOOKING.test(symbolOf(facts, call.block).split('.').at(-1) ?? '')
  return { tier: isLooking ? 'review' : 'strong', why: 'The signature of the token is not checked.' }
}

function hasNone(value: Value | undefined): boolean {
  return value?.kind === 'list' && value.items.some((item) => item.kind === 'string' && /^none$/i.test(item.value))
}

function isOff(call: Call): boolean {
  const verify = optionOf(call, 'verify')
  const options = call.named.find(([name]) => name === 'options')?.[1]
  const signature =
    options?.kind === 'object' ? options.entries.find(([name]) => name === 'verify_signature')?.[1] : undefined
  return [verify, signature].some((value) => value?.kind === 'boolean' && !value.value)
}

/** The same function decodes with the signature, after it has looked which key that needs. */
function verifiesToo(facts: FileFacts, call: Call): boolean {
  let fn = call.block
  while (fn > 0 && facts.blocks[fn]?.kind !== 'function') fn = facts.blocks[fn]?.parent ?? 0
  return contentsOf(facts, fn).calls.some(
    (other) => other !== call && /^(decode|verify\w*|validate\w*)$/.test(lastName(other.callee)) && !isOff(other),
  )
}

/** It answers requests: what a page reads of its own token is no decision. */
function isServer({ calls, imports }: FileFacts): boolean {
  const names = new Set(imports.map(({ module }) => module))
  return (
    ['express', 'fastify', 'koa', '@nestjs/common', 'http', 'hono'].some((name) => names.has(name)) ||
    calls.some(({ callee }) => callee.text === 'next')
  )
}

function verifiesNear({ facts, files }: Repository, { file }: FileFacts): boolean {
  let folder = folderOf(file)
  while (folder !== '' && !files.has(join(folder, 'package.json'))) folder = folderOf(folder)
  for (const [path, { calls }] of facts)
    if (isBelow(path, folder) && calls.some(({ callee }) => /^(verify|jwtVerify|verifyAsync)$/.test(lastName(callee))))
      return true
  return false
}
