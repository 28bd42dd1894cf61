// For tests: servers and sessions that go when their test ends, and waiting for what they do.

import { systemClock } from '@ripstop/kernel'
import { createFalseEnvironment } from './environment.fixture.ts'
import { type ConnectOptions, connectSession, type LiveSession } from './live-session.ts'
import { SESSION_ID, SessionServer } from './session-server.fixture.ts'

export interface Stage {
  startServer(): Promise<SessionServer>
  connect(server: SessionServer, options?: Partial<ConnectOptions>): LiveSession
  clean(): Promise<void>
}

export function createStage(): Stage {
  const cleanups: (() => void | Promise<void>)[] = []
  return {
    startServer: async () => {
      const server = await SessionServer.start()
      cleanups.push(() => server[Symbol.asyncDispose]())
      return server
    },
    connect: (server, options = {}) => {
      const env = createFalseEnvironment()
      const session = connectSession({ url: server.url, sessionId: SESSION_ID, env, ...options })
      cleanups.push(() => session.close())
      return session
    },
    clean: async () => {
      for (const clean of cleanups.splice(0).reverse()) await clean()
    },
  }
}

/** Waits for what sockets bring, or time. */
export async function until(what: string, look: () => boolean, limitMs = 10_000): Promise<void> {
  const endMs = systemClock.monoMs() + limitMs
  while (!look()) {
    if (systemClock.monoMs() > endMs) throw new Error(`waited in vain until ${what}`)
    await new Promise<void>((resolve) => systemClock.schedule(2, resolve))
  }
}

export const isLive = (session: LiveSession) => (): boolean => session.getSnapshot().status === 'live'
export const live = (session: LiveSession): Promise<void> => until('it is live', isLive(session))
export const versionOf = (session: LiveSession): number | undefined => session.getSnapshot().place?.version
