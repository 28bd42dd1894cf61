// The embedded Postgres as a link's resource: the link starts it again whenever it dies, without limit, and proves it by a
// round trip on a connection of its own. A server that lives but gives no answer (frozen, or starved) is let go of, not
// killed: killing a database that is only slow would make it slower. The next opening finds it and attaches.

import { type Adapter, hasCode } from '@ripstop/kernel'
import { type EmbeddedPostgres, type EmbeddedPostgresOptions, startEmbeddedPostgres } from './embedded-cluster.ts'
import { boundServerLog } from './embedded-data.ts'

export interface EmbeddedAdapter extends Adapter<EmbeddedPostgres> {
  /** Resolves when the server that the application's drain told to stop has stopped, also one that was still being started. */
  stopped(): Promise<void>
}

export interface EmbeddedAdapterOptions extends EmbeddedPostgresOptions {
  /** Where it can be reached: after a restart the port may be another. */
  readonly onUrl: (url: string) => void
}

export function createEmbeddedAdapter(options: EmbeddedAdapterOptions): EmbeddedAdapter {
  let opening: Promise<unknown> = Promise.resolve()
  let stopping: Promise<void> = Promise.resolve()
  return {
    kind: 'postgres',
    target: `embedded in ${options.stateDir}`,
    sharedFate: true,
    open: async (ctx, events) => {
      const started = startEmbeddedPostgres(ctx, options)
      // Given up, the link goes on at once; what was started is still being taken back then.
      opening = started.catch(() => undefined)
      const server = await started
      // A drain that came in its last moment closes nothing: the link never had it. One that is only late is attached to next time.
      if (ctx.reason !== undefined && !hasCode(ctx.reason, 'DEADLINE_EXCEEDED')) stopping = server.stop('fast')
      void server.exited.then(({ code, signal }) => events.lost(`the server ended (${signal ?? `code ${code}`})`))
      options.onUrl(server.url)
      return server
    },
    probe: async (server, ctx) => {
      await server.prove(ctx)
      await boundServerLog(server.logFile) // here because this runs for as long as the server does
    },
    close: (server, because) => {
      if (because === 'drained') stopping = server.stop('fast')
    },
    fault: () => undefined,
    stopped: async () => {
      await opening
      await stopping
    },
  }
}
