// Sending to many sockets without looking at what they have not read yet: what a slow reader leaves lies in this process.
//   BD7. Found where a message goes to every socket of a collection; silent where the file looks at `bufferedAmount`, and where the server is not `ws`.

import type { FileFacts } from '../../facts/facts.ts'
import type { Repository } from '../../repository/repository.ts'
import { seenAt, symbolOf } from '../queries.ts'
import type { Discovery } from '../rule.ts'

const SERVERS = /^(?:ws|uWebSockets\.js|@fastify\/websocket|express-ws)$/
const SOCKET = /^(?:ws|socket|client|sock|conn|connection|peer|member|subscriber)$/i

export function* slowReaders({ facts: all, files }: Repository): Iterable<Discovery> {
  for (const facts of all.values()) {
    const { file, imports, calls } = facts
    if (!imports.some(({ module, isTypeOnly }) => !isTypeOnly && SERVERS.test(module))) continue
    const sends = calls.filter(({ callee, block }) => {
      const [receiver = '', verb, more] = callee.text.split('.')
      return verb === 'send' && more === undefined && SOCKET.test(receiver) && isForEach(facts, block, receiver)
    })
    const [first] = sends
    if (first === undefined || files.read(file)?.includes('bufferedAmount') === true) continue
    yield {
      tier: 'strong',
      cause: `sockets of ${file}`,
      severity: 'medium',
      title: 'What slow readers have not taken yet is kept without a bound',
      evidence: sends.map((call) => seenAt(file, call, 'sent to every socket, whatever waits for it already')),
      symbol: symbolOf(facts, first.block),
      symptom:
        'One client that reads slowly, or not at all, makes the process keep everything that was sent to it, until memory runs out for all.',
      rootCause: 'Nothing looks at bufferedAmount before it sends, so the buffer of a socket has no bound.',
    }
  }
}

/** The socket is what a loop, or a `forEach`, goes through. */
function isForEach({ blocks, calls }: FileFacts, block: number, name: string): boolean {
  for (let at = block; at >= 0; at = blocks[at]?.parent ?? -1) {
    const each = blocks[at]
    if (each?.kind === 'loop' && each.binds?.split(',').includes(name) === true) return true
    if (each?.kind === 'function' && each.fn?.params[0] === name)
      return calls.some(
        ({ callee, args }) => /\.forEach$/.test(callee.text) && args[0]?.kind === 'function' && args[0].block === at,
      )
  }
  return false
}
