// A server in a process of its own, for tests that take its file descriptors away. Prints its port and its accept failures.

import { createEnv, Metrics } from '@ripstop/kernel'
import { createRequestGuard } from './guard.ts'
import { startHttpServer } from './server.ts'

const silent = (): void => {}
const log = { debug: silent, info: silent, warn: silent, error: silent, child: () => log }
const server = await startHttpServer({
  env: createEnv(),
  log,
  metrics: new Metrics(),
  server: { host: '127.0.0.1', port: 0, headerBytesMax: 16_384 },
  guard: createRequestGuard({ mode: 'open', host: '127.0.0.1', allowedOrigins: [] }),
  control: { handle: (_, response) => void response.end('alive'), drain: () => {} },
})
process.stdout.write(`${server.port}\n`)
