// Ways back that lead nowhere: a method that reconnects ends in something that is not written yet, or the end of a connection is heard, logged, and that is all.
//   GD5. A way back is found only where what it does in any case is not implemented, and no class that is made from it writes it.
//   GD6. The end of a connection is found only of libraries that do not connect again by themselves, where it is heard and nothing in that file connects anew or leaves
//        the process.

import { type IndexedFile, type Program, programOf } from '../../program/index.ts'
import type { Repository } from '../../repository/repository.ts'
import { GUARANTEES } from '../guarantees.ts'
import { RECOVERING, type Stub, stubBelow } from '../permanent-failure/stubs.ts'
import { seenAt, symbolOf } from '../queries.ts'
import type { Discovery, Rule } from '../rule.ts'

export const reconnectMissing: Rule = {
  meta: {
    id: 'reconnect-missing',
    category: 'guards',
    severity: 'high',
    title: 'A connection that is not made again',
    why: 'Connections end: brokers restart, load balancers close what is idle. From then on everything that needs this one fails until the process is restarted.',
    remedies: [
      {
        priority: 'P0',
        text: 'Connect again after a time that grows, with chance, for as long as the process lives; or leave the process and let its supervisor start it.',
        effort: 'S',
        guarantee: GUARANTEES.reconnect,
      },
    ],
    sources: [
      'amqplib: connections are not re-established by the library',
      'RFC 6455, section 7.2.3: recovering from abnormal closure',
    ],
  },
  *run(repository: Repository): Iterable<Discovery> {
    const program = programOf(repository.facts)
    for (const path of program.files) {
      const file = program.file(path)
      if (file === undefined) continue
      yield* unwritten(program, path, file)
      yield* unheard(program, path, file)
    }
  },
}

/** GD5. */
function* unwritten(program: Program, path: string, file: IndexedFile): Iterable<Discovery> {
  const bases = new Set(file.facts.classes.flatMap(({ bases: names }) => names))
  for (const { block: owner, name: className } of file.facts.classes) {
    if (bases.has(className) || /base|abstract|interface|mixin|protocol/i.test(className)) continue
    const told = new Set<string>()
    for (const [name, block] of file.methods(owner)) {
      const stub = RECOVERING.test(name) ? stubBelow(program, path, block, new Set()) : undefined
      if (stub === undefined || told.has(keyOf(stub))) continue
      told.add(keyOf(stub))
      const { line = 0 } = file.facts.blocks[block] ?? {}
      yield {
        tier: 'strong',
        evidence: [
          seenAt(stub.file, { line: stub.line, endLine: stub.line }, `${stub.name} is not implemented`),
          seenAt(path, { line, endLine: line }, `${name} always ends there`),
        ],
        cause: `${className} of ${path} to ${keyOf(stub)}`,
        symbol: `${className}.${name}`,
        symptom: 'What has failed is never made again: every attempt ends in an error of its own.',
        rootCause: `${name} needs ${stub.name}, which only says that it is not implemented.`,
      }
    }
  }
}

function keyOf({ file, line }: Stub): string {
  return `${file}:${line}`
}

/** Libraries whose connections stay ended: what creates one, and the events that tell it. */
const ENDING: readonly { readonly creates: RegExp; readonly what: string }[] = [
  { creates: /^import:amqplib(?:\/callback_api|#connect)?$/, what: 'a connection of amqplib' },
  { creates: /^import:ws(?:#WebSocket|#default)?$/, what: 'a WebSocket' },
  { creates: /^import:mysql2?(?:\/promise)?(?:#createConnection)?$/, what: 'a connection of mysql' },
]
const CREATING = /(?:^|\.)(?:connect|WebSocket|createConnection)$/
const AGAIN =
  /connect|retry|restart|respawn|setTimeout|setInterval|process\.exit|process\.kill|init|start|open|dial|recover|exit|abort|shutdown|reject|resolve|emit/i

/** GD6. */
function* unheard(program: Program, path: string, file: IndexedFile): Iterable<Discovery> {
  if (!file.facts.imports.some(({ module }) => /^(?:amqplib|ws|mysql2?)(?:\/|$)/.test(module))) return
  const { calls } = file.facts
  for (const call of calls) {
    const [event, handler] = call.args
    if (
      !/\.(?:on|once)$/.test(call.callee.text) ||
      event?.kind !== 'string' ||
      event.value !== 'close' ||
      handler?.kind !== 'function'
    )
      continue
    const receiver = { ...call.callee, text: call.callee.text.slice(0, call.callee.text.lastIndexOf('.')) }
    const made = program.created(path, receiver, call.block)?.call
    const known =
      made === undefined || !CREATING.test(made.callee.text) || (made.callee.text === 'WebSocket' && !made.isNew)
        ? undefined
        : ENDING.find(({ creates }) => creates.test(made.callee.root))
    if (known === undefined || made === undefined) continue
    const inside = (block: number): boolean => file.within(block, handler.block)
    const goesOn =
      calls.some((each) => inside(each.block) && AGAIN.test(each.callee.text)) ||
      file.facts.assignments.some(({ block }) => inside(block))
    if (goesOn || calls.some(({ callee }) => /reconnect|retry/i.test(callee.text))) continue
    yield {
      tier: 'strong',
      evidence: [
        seenAt(path, call, 'its end is heard, and nothing connects again'),
        seenAt(path, made, `${known.what} is made here`),
      ],
      symbol: symbolOf(file.facts, call.block) || receiver.text,
      symptom: `Once ${known.what} has ended, everything that uses ${receiver.text} fails until the process is restarted.`,
      rootCause: `${known.what} does not connect again by itself, and its handler of close only tells.`,
    }
  }
}
