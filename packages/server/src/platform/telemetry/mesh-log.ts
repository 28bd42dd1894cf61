// What a mesh's links go through, told once: a link that is down says so when it falls, or when the reason changes, and
// once more when it is up again; the attempts in between are in the metrics.

import type { LinkNotice, Mesh } from '@ripstop/kernel'
import type { Log } from './log.ts'

/** Logs the mesh's notices until the returned function is called. */
export function logMesh(mesh: Mesh, log: Log): () => void {
  const told = new Map<string, string>() // link -> why it is down
  return mesh.listen((notice) => {
    if (notice.type === 'transition') tellTransition(notice, told, log)
    else {
      const { type, ...fields } = notice
      log.warn({ event: `link.${type}`, ...fields })
    }
  })
}

type TransitionNotice = Extract<LinkNotice, { type: 'transition' }>

function tellTransition({ link, to, why, generation }: TransitionNotice, told: Map<string, string>, log: Log): void {
  switch (to) {
    case 'down':
      if (told.get(link) === why) return
      told.set(link, why)
      return log.warn({ event: 'link.down', link, why })
    case 'up': {
      const wasDown = told.delete(link)
      return log.info({ event: 'link.up', link, generation, recovered: wasDown })
    }
    case 'degraded':
      return log.info({ event: 'link.doubted', link, why })
    case 'idle':
    case 'connecting':
    case 'draining':
    case 'closed':
      return log.debug({ event: `link.${to}`, link })
    default:
      return to satisfies never
  }
}
