// What is tried: the calls that leave the process there, and behind the functions of the repository that are waited for there.
//   RW11. Followed through LAYERS_MAX functions that are waited for; what a function looks after itself (in a `try` of its own that catches any error) is not, nor
//         are functions of more than CALLS_MAX calls.
//   RW14. In Python what is asked of a session is asked of a database, however the session was come by: `db.commit()`, `self.session.execute(…)`.

import type { Call, FileFacts } from '../../facts/facts.ts'
import type { SystemLink } from '../../model/graph.ts'
import type { IndexedFile, Program } from '../../program/index.ts'
import type { OutboundCalls } from '../../system/outbound.ts'
import { contentsOf } from '../contents.ts'
import { isAsync, isCaught } from '../promises/rejections.ts'
import { lastName } from '../queries.ts'

/** A service, and its client. */
const LAYERS_MAX = 2
const CALLS_MAX = 40
/** By function and layer: many handlers ask for the same. */
const KEPT = new WeakMap<FileFacts, Map<number, readonly Leaving[]>>()

export interface Reached {
  /** In the `try`. */
  readonly call: Call
  readonly kind: SystemLink['kind']
  readonly effect: 'read' | 'write' | 'unknown'
  /** What is called at the end: `commit`. */
  readonly method: string
  /** What is not there comes as an error, too: a client that throws at 404. */
  readonly throwsAtMissing: boolean
}

export function reachedIn(
  program: Program,
  outbound: OutboundCalls,
  file: IndexedFile,
  tried: number,
): readonly Reached[] {
  return contentsOf(file.facts, tried).calls.flatMap((call) =>
    leaving(program, outbound, file, call, 0).map((found) => ({ ...found, call })),
  )
}

type Leaving = Omit<Reached, 'call'>

function leaving(
  program: Program,
  outbound: OutboundCalls,
  file: IndexedFile,
  call: Call,
  layer: number,
): readonly Leaving[] {
  const method = lastName(call.callee)
  const own = outbound.at({ file: file.facts.file, call })
  if (own !== undefined)
    return [
      { kind: own.kind, effect: own.effect, method, throwsAtMissing: own.kind === 'http' && own.refusal === 'throws' },
    ]
  const asked = ofSession(file, call)
  if (asked !== undefined) return [asked]
  if (layer >= LAYERS_MAX) return []
  const target = program.target({ file: file.facts.file, call })
  const inner = target === undefined ? undefined : program.file(target.file)
  if (target === undefined || inner === undefined) return []
  if (call.use === 'dropped' && isAsync(program, target)) return []
  return behind(program, outbound, inner, target.block, layer + 1)
}

function behind(
  program: Program,
  outbound: OutboundCalls,
  file: IndexedFile,
  fn: number,
  layer: number,
): readonly Leaving[] {
  const kept = KEPT.get(file.facts) ?? new Map<number, readonly Leaving[]>()
  KEPT.set(file.facts, kept)
  const key = fn * (LAYERS_MAX + 1) + layer
  const known = kept.get(key)
  if (known !== undefined) return known
  const { calls } = contentsOf(file.facts, fn)
  const found =
    calls.length > CALLS_MAX
      ? []
      : calls
          .filter(({ block }) => !isCaught(file.facts, block, fn))
          .flatMap((call) => leaving(program, outbound, file, call, layer))
  kept.set(key, found)
  return found
}

const SESSION = /(?:^|[._])(?:db|session|db_session)\.(\w+)$/i
const CHANGES = /^(?:commit|flush|bulk_save_objects|bulk_insert_mappings|merge)$/
const ASKS = /^(?:query|execute|scalars?|get_one)$/

/** RW14. */
function ofSession({ facts }: IndexedFile, { callee }: Call): Leaving | undefined {
  const [, method = ''] = (facts.language === 'python' && SESSION.exec(callee.text)) || []
  if (CHANGES.test(method)) return { kind: 'postgres', effect: 'write', method, throwsAtMissing: false }
  return ASKS.test(method) ? { kind: 'postgres', effect: 'unknown', method, throwsAtMissing: false } : undefined
}
