// The tables of the architecture test: who may import whom, which table is whose, where ambient things live. A new row needs a decision
// record.

/** What the code of an area may import besides its own files. `node:` stands for all of Node. */
export const IMPORTS: readonly (readonly [area: RegExp, allowed: readonly string[]])[] = [
  [/^packages\/kernel\/src\/testing\//, ['node:']],
  [/^packages\/kernel\/src\/adapters\/postgres\//, ['node:', 'pg']],
  [/^packages\/kernel\/src\/adapters\/redis\//, ['node:', 'ioredis']],
  [/^packages\/kernel\/src\/adapters\/http\//, ['node:', 'undici']],
  [/^packages\/kernel\/src\/adapters\/websocket\//, ['node:', 'ws']],
  [/^packages\/kernel\//, []], // runs in a browser
  [/^packages\/protocol\//, ['@ripstop/kernel', 'zod']], // and so does this
  [/^packages\/sdk\/src\/webhooks\//, ['node:']], // nothing that a receiver would have to install
  // Runs in a browser, without zod: of the protocol's root only types; bundle.test.ts walks what is loaded.
  [
    /^packages\/sdk\//,
    ['@ripstop/kernel', '@ripstop/protocol', '@ripstop/protocol/codes', '@ripstop/protocol/sessions'].concat([
      '@ripstop/protocol/time-sync',
    ]),
  ],
  [/^packages\/faults\//, ['node:', '@ripstop/kernel']],
  [/^packages\/audit\//, ['node:', '@ripstop/kernel', '@ripstop/protocol', '@ripstop/faults', 'oxc-parser', 'yaml']],
  [
    /^packages\/server\//,
    ['node:', '@ripstop/kernel', '@ripstop/kernel/postgres', '@ripstop/kernel/redis', '@ripstop/kernel/http']
      .concat([
        '@ripstop/kernel/websocket',
        '@ripstop/protocol',
        '@ripstop/faults',
        '@ripstop/audit',
        '@ripstop/audit/codes',
      ])
      .concat(['@ripstop/protocol/sessions', '@ripstop/protocol/time-sync'])
      .concat(['fastify', 'ioredis', 'pg', 'pino', 'undici', 'ws', 'yaml', 'zod'])
      .concat(['ajv', 'ajv/dist/2020.js', 're2js', 'ajv-formats/dist/formats.js'])
      .concat(['@marcbachmann/cel-js', '@marcbachmann/cel-js/serialize']),
  ],
]

/** Folders of folders, each of which stands on the same core, and what it may reach of it. */
export const OUTPOSTS: readonly (readonly [folder: string, core: RegExp])[] = [
  ['packages/kernel/src/adapters/', /^\.\.\/\.\.\/[\w-]+\.ts$/],
  ['packages/audit/src/readers/', /^\.\.\/\.\.\/(facts|model|repository)\/[\w-]+\.ts$/],
  ['packages/audit/src/rules/', /^\.\.\/\.\.\/(facts|model|program|repository|readers|system)\/[\w-]+\.ts$/],
]

/** The server's modules, and whose doors each may use. What stands lower may not use what stands higher. */
export const SERVER: Readonly<Record<string, readonly string[]>> = {
  'platform/telemetry': [],
  'platform/pause': [],
  'platform/config': [],
  'platform/redis': ['platform/config'],
  'platform/under-way': [],
  'platform/http': ['platform/telemetry', 'platform/under-way'],
  'platform/postgres': ['platform/config', 'platform/pause', 'platform/telemetry'],
  'platform/sealing': [],
  'platform/egress': [],
  access: ['platform/http', 'platform/pause', 'platform/postgres'],
  events: ['access', 'platform/http', 'platform/pause', 'platform/postgres', 'platform/telemetry'],
  delivery: ['access', 'platform/http', 'platform/pause', 'platform/postgres', 'platform/telemetry'],
  webhooks: ['access', 'delivery', 'events', 'platform/egress', 'platform/http', 'platform/pause'].concat([
    'platform/postgres',
    'platform/sealing',
    'platform/telemetry',
  ]),
  deferred: ['access', 'delivery', 'platform/http', 'platform/postgres', 'platform/sealing', 'platform/telemetry'],
  inbound: ['access', 'events', 'platform/http', 'platform/postgres', 'platform/sealing', 'platform/telemetry'],
  replays: ['access', 'delivery', 'events', 'webhooks', 'platform/http', 'platform/pause'].concat([
    'platform/postgres',
    'platform/telemetry',
  ]),
  'webhooks-page': ['platform/http'],
  explain: ['access', 'delivery', 'events', 'webhooks', 'platform/http', 'platform/pause', 'platform/postgres'].concat([
    'platform/telemetry',
  ]),
  'platform/rate': [],
  gateway: ['platform/rate', 'platform/telemetry', 'platform/under-way'],
  'session-log': [],
  'session-stores': ['session-log', 'platform/pause', 'platform/postgres', 'platform/redis', 'platform/telemetry'],
  sessions: [
    'access',
    'session-log',
    'session-stores',
    'platform/http',
    'platform/pause',
    'platform/rate',
    'platform/sealing',
  ].concat(['platform/telemetry']),
  'session-sockets': [
    'session-log',
    'session-stores',
    'sessions',
    'platform/http',
    'platform/telemetry',
    'platform/under-way',
  ],
  health: ['platform/http'],
  upkeep: ['platform/pause', 'platform/postgres', 'platform/telemetry'],
  'api-docs': ['access', 'api', 'gateway', 'health', 'sessions', 'platform/http', 'platform/postgres'],
  supervisor: ['health', 'platform/config', 'platform/postgres', 'platform/telemetry'],
  api: ['deferred', 'delivery', 'events', 'explain', 'inbound', 'replays', 'webhooks', 'webhooks-page'].concat([
    'platform/http',
    'platform/sealing',
  ]),
  process: [
    'session-sockets',
    'session-stores',
    'sessions',
    'access',
    'api',
    'api-docs',
    'deferred',
    'delivery',
    'events',
    'explain',
    'gateway',
    'health',
    'inbound',
  ]
    .concat(['replays', 'supervisor', 'upkeep', 'webhooks', 'webhooks-page'])
    .concat(['platform/config', 'platform/egress', 'platform/http', 'platform/postgres', 'platform/redis'])
    .concat(['platform/rate', 'platform/sealing', 'platform/telemetry']),
  cli: ['access', 'supervisor', 'platform/config', 'platform/postgres', 'platform/telemetry'],
  'main.ts': ['cli', 'process'],
}

/** The server's error codes: imported for its effect by whoever throws one of them first. */
export const SERVER_CODES = 'packages/server/src/platform/codes.ts'

/**
 * Every table, and who names it: a module, in its `store.ts` or `<noun>-store.ts` files, or one file. `explain` only reads: it proves
 * that what several modules hold fits together.
 */
export const TABLES: Readonly<Record<string, readonly string[]>> = {
  tenants: ['access'],
  api_keys: ['access'],
  audit_log: ['access', 'access/audit.ts'],
  idempotency: ['platform/postgres/idempotency.ts'],
  leases: ['platform/postgres/lease.ts'],
  event_types: ['events'],
  events: ['events', 'explain'],
  event_keys: ['events', 'explain'],
  outbox: ['events', 'explain'],
  rejected_events: ['events', 'explain'],
  deliveries: ['delivery', 'explain'],
  attempts: ['delivery', 'explain'],
  dead_letters: ['delivery', 'explain'],
  delivery_shards: ['delivery', 'explain'],
  delivery_workers: ['delivery'],
  endpoints: ['webhooks', 'explain'],
  endpoint_secrets: ['webhooks', 'explain'],
  endpoint_revisions: ['webhooks'],
  replay_jobs: ['replays'],
  deferred_requests: ['deferred'],
  inbound_sources: ['inbound'],
  session_epochs: ['session-stores'],
  session_nodes: ['session-stores'],
  sessions: ['session-stores'],
  session_log: ['session-stores'],
  session_cursors: ['session-stores'],
  session_forks: ['session-stores'],
}

/** Ambient things, and the only files that touch them. */
export const AMBIENT: readonly {
  readonly what: string
  readonly pattern: RegExp
  readonly homes: readonly string[]
}[] = [
  {
    what: 'the time',
    pattern: /\bDate\.now\b|\bnew Date\(\)|\bperformance\.now\b/,
    homes: ['packages/kernel/src/clock.ts', 'packages/sdk/src/webhooks/clock.ts'],
  },
  { what: 'chance', pattern: /\bMath\.random\b|\brandomUUID\b/, homes: ['packages/kernel/src/ids.ts'] },
  { what: 'timers', pattern: /(?<![.\w])set(Timeout|Interval)\b/, homes: ['packages/kernel/src/clock.ts'] },
  {
    what: 'the environment',
    pattern: /\bprocess\.env\b/,
    homes: ['packages/server/src/main.ts', 'packages/audit/src/main.ts'],
  },
]

/** Not tests, but only there for tests. */
export const SUPPORT = [
  /\/testing\//,
  /\.fixture\.ts$/,
  /\/fixtures\.ts$/,
  /^packages\/faults\/src\/loopback-peers\.ts$/,
  /^packages\/kernel\/src\/adapters\/postgres\/fake-server\.ts$/,
]
