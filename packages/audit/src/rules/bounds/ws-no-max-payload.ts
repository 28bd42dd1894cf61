// WebSocket servers that take messages of any size: `ws` without `maxPayload` takes 100 MiB each; others where the limit was switched off.
//   BD8. Found where the options are seen to have no limit; silent where something is mixed into them, or they come from elsewhere.

import type { Call, Value } from '../../facts/facts.ts'
import { type Program, programOf } from '../../program/index.ts'
import type { Repository } from '../../repository/repository.ts'
import { constantOf, mayHide, optionOf, seenAt, symbolOf } from '../queries.ts'
import type { Discovery, Rule } from '../rule.ts'
import { isServed } from './served.ts'

const BYTES_MAX = 64 * 1024 * 1024

export const wsNoMaxPayload: Rule = {
  meta: {
    id: 'ws-no-max-payload',
    category: 'bounds',
    severity: 'medium',
    title: 'A WebSocket server takes messages of any size',
    why: 'A message is kept whole in memory before anybody looks at it. A few clients that send the largest that is taken, before they are even known, are enough to end the process for everybody.',
    remedies: [
      { priority: 'P2', text: 'Set the limit to the largest message that the protocol has, times two.', effort: 'XS' },
    ],
    sources: [
      'ws documentation: maxPayload, 104857600 by default',
      'CWE-770: allocation of resources without limits or throttling',
    ],
  },
  *run({ facts: all }: Repository): Iterable<Discovery> {
    const program = programOf(all)
    for (const facts of all.values()) {
      if (!isServed(facts.file)) continue
      for (const call of facts.calls) {
        const why = unlimited(program, facts.file, call)
        if (why === undefined) continue
        yield {
          tier: 'strong',
          evidence: [seenAt(facts.file, call, why)],
          symbol: symbolOf(facts, call.block),
          symptom:
            'Large messages from a few clients fill the memory of the process, and everybody loses their connection.',
          rootCause: `The server is made without a limit: ${why}.`,
        }
      }
    }
  },
}

function unlimited(program: Program, file: string, call: Call): string | undefined {
  const { callee } = call
  if (!/^import:(?:ws|socket\.io|websockets)\b/.test(callee.root) && !callee.text.endsWith('WebSocketResponse'))
    return undefined
  const isWs = /^import:ws(?:#(?:WebSocketServer|Server))?$/.test(callee.root)
  if (isWs && (callee.root !== 'import:ws' || /\.(?:WebSocketServer|Server)$/.test(callee.text))) {
    const given = call.args[0] === undefined ? undefined : constantOf(program, file, call.args[0])
    if (mayHide(call) || given?.kind !== 'object' || given.hasSpread) return undefined
    return given.entries.some(([name]) => name === 'maxPayload') ? undefined : 'no maxPayload, so ws takes 100 MiB'
  }
  const [name, isOff] = LIMITS.find(([, , library]) => library.test(`${callee.root} ${callee.text}`)) ?? []
  const value = name === undefined ? undefined : optionOf(call, name)
  return value !== undefined && isOff?.(value) === true
    ? `${name} is set so that there is no limit to speak of`
    : undefined
}

function isHuge(value: Value): boolean {
  return value.kind === 'number' && value.value >= BYTES_MAX
}

/** The option of other servers, and the value that switches it off. */
const LIMITS: readonly (readonly [name: string, isOff: (value: Value) => boolean, library: RegExp])[] = [
  ['maxHttpBufferSize', isHuge, /^import:socket\.io\b/],
  ['max_size', (value) => value.kind === 'null' || isHuge(value), /^import:websockets\b.*\bserve$/],
  ['max_msg_size', (value) => (value.kind === 'number' && value.value === 0) || isHuge(value), /WebSocketResponse$/],
]
