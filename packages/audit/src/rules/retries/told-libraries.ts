// Retries that a library makes, as it was told to: waits that grow with the attempt, with no chance in them.
//   QL1. Read from what tenacity, Celery and backoff are given where a function is decorated, or where tenacity's own loop is made. Chance in what is given keeps it
//        silent; so do Celery and backoff by themselves, which spread unless they are told not to.

import type { Call, FileFacts, Place, Value } from '../../facts/facts.ts'
import type { IndexedFile } from '../../program/index.ts'
import { lastName, optionOf } from '../queries.ts'
import { hasChance, partsOf } from './delays.ts'

/** Where the wait is told. */
export function* toldWithoutChance(file: IndexedFile): Iterable<Place> {
  const { facts } = file
  if (!facts.imports.some(({ module }) => /^(?:tenacity|celery|backoff)\b/.test(module))) return
  const loops = facts.calls.filter(({ callee }) => /(?:^|\.)(?:Async)?Retrying$/.test(callee.text))
  for (const call of [...facts.blocks.flatMap(({ fn }) => fn?.decorators ?? []), ...loops]) {
    const at = ofTenacity(file, call) ?? ofCelery(call) ?? ofBackoff(call)
    if (at !== undefined) yield at
  }
}

function ofTenacity(file: IndexedFile, call: Call): Place | undefined {
  const wait = call.callee.root.startsWith('import:tenacity') ? optionOf(call, 'wait') : undefined
  if (wait === undefined) return undefined
  const parts = partsOf(file, -1, wait)
  const growing = parts.map((part) => callAt(file.facts, part)).find((each) => each !== undefined && isGrowing(each))
  return hasChance(file.facts, -1, parts) ? undefined : growing
}

function callAt({ calls }: FileFacts, value: Value): Call | undefined {
  return value.kind === 'call' ? calls[value.call] : undefined
}

function isGrowing({ callee }: Call): boolean {
  return lastName(callee) === 'wait_exponential'
}

/** `@app.task(retry_backoff=True, retry_jitter=False)`. */
function ofCelery(call: Call): Place | undefined {
  const grows = optionOf(call, 'retry_backoff')
  const spreads = optionOf(call, 'retry_jitter')
  const isGrowing = grows !== undefined && !(grows.kind === 'boolean' && !grows.value)
  return isGrowing && spreads?.kind === 'boolean' && !spreads.value ? call : undefined
}

/** `@backoff.on_exception(backoff.expo, Failed, jitter=None)`. */
function ofBackoff(call: Call): Place | undefined {
  const [strategy] = call.args
  const isTold = /(?:^|\.)on_(?:exception|predicate)$/.test(call.callee.text) && call.callee.root.includes('backoff')
  if (!isTold || strategy?.kind !== 'path' || lastName(strategy.path) !== 'expo') return undefined
  return optionOf(call, 'jitter')?.kind === 'null' ? call : undefined
}
