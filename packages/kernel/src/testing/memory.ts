import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { settle } from './index.ts'

/** How many of what these point at survive a full collection. */
export async function survivors(references: readonly WeakRef<object>[]): Promise<number> {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  for (let round = 0; round < 3; round++) {
    await settle()
    collect()
  }
  return references.filter((reference) => reference.deref() !== undefined).length
}
