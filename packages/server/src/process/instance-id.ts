// Who this process is, also after it was started again: leases that its predecessor held are its own at once. One state directory is one
// machine's: two that share it would take each other's leases, again and again (the epochs keep that correct, but not quick).

import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createId, type Env } from '@ripstop/kernel'

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

/** Kept in the state directory; where nothing can be written there it lasts as long as the process. */
export async function loadInstanceId(env: Env, stateDir: string, role: string): Promise<string> {
  const path = join(stateDir, `${role}.instance`)
  const kept = await readFile(path, 'utf8').catch(() => '')
  if (UUID.test(kept.trim())) return kept.trim()
  const id = createId(env.clock.wallMs())
  await mkdir(stateDir, { recursive: true })
    .then(() => writeFile(path, `${id}\n`, { mode: 0o600 }))
    .catch(() => undefined) // then leases of a predecessor run out by themselves
  return id
}
