// Emitters of libraries: what creates them, and what they do with an `error` that nobody listens for. Only those that end the process then are `fatal`: ioredis,
// bullmq and mongoose catch it and write to the console.
//   QT16. Producers and consumers of kafka-node hand on what their client emits.

import type { Call } from '../../facts/facts.ts'
import type { IndexedFile } from '../../program/index.ts'
import { fullName } from '../../system/names.ts'

export interface EmitterKind {
  readonly library: string
  /** When it emits `error`; undefined: an error that nobody hears does not end the process. */
  readonly fatal: string | undefined
  readonly source: string
}

type Table = Readonly<Record<string, readonly [names: RegExp, fatal: string | undefined, source: string]>>

/** By module: the names that make an emitter; '*' is the module's own export. */
const MADE: Table = {
  pg: [
    /^(Pool|Client)$/,
    'an idle connection breaks (a restart or failover of Postgres)',
    'https://node-postgres.com/apis/pool#error',
  ],
  redis: [
    /^(createClient|createCluster|createSentinel)$/,
    'the connection to Redis breaks',
    'https://github.com/redis/node-redis#events: you MUST listen to error events',
  ],
  ws: [
    /^(\*|WebSocket)$/,
    'the connection is refused or breaks',
    'https://github.com/websockets/ws/blob/master/doc/ws.md#event-error-1',
  ],
  net: [
    /^(connect|createConnection|Socket)$/,
    'the connection is refused or reset',
    'https://nodejs.org/api/net.html#event-error_1',
  ],
  tls: [/^connect$/, 'the connection is refused or reset', 'https://nodejs.org/api/tls.html'],
  http: [
    /^(request|get)$/,
    'the connection is refused or reset',
    'https://nodejs.org/api/http.html#httprequesturl-options-callback',
  ],
  https: [/^(request|get)$/, 'the connection is refused or reset', 'https://nodejs.org/api/https.html'],
  // It listens itself.
  mqtt: [/^connect(Async)?$/, undefined, 'https://github.com/mqttjs/MQTT.js#event-error'],
  mysql2: [
    /^createConnection$/,
    'the connection to the database breaks',
    'https://sidorares.github.io/node-mysql2/docs',
  ],
  mysql: [
    /^createConnection$/,
    'the connection to the database breaks',
    'https://github.com/mysqljs/mysql#error-handling',
  ],
  amqplib: [
    /^connect$/,
    'the connection to the broker breaks',
    'https://amqp-node.github.io/amqplib/channel_api.html#model_events',
  ],
  'kafka-node': [
    /^(Producer|HighLevelProducer|Consumer|ConsumerGroup)$/,
    'the broker is not reached, or the connection to it breaks',
    'https://github.com/SOHU-Co/kafka-node#events-1: producer should always listen it',
  ],
  'http-proxy': [
    /^(createProxyServer|createProxy|\*)$/,
    'a target refuses the connection',
    'https://github.com/http-party/node-http-proxy#listening-for-proxy-events',
  ],
  ioredis: [/^(\*|Redis|Cluster)$/, undefined, 'https://github.com/redis/ioredis'],
  bullmq: [/^(Queue|Worker|QueueEvents|FlowProducer)$/, undefined, 'https://docs.bullmq.io'],
  bull: [/^(\*|Bull|Queue)$/, undefined, 'https://github.com/OptimalBits/bull'],
  events: [/^(\*|EventEmitter)$/, undefined, 'https://nodejs.org/api/events.html#error-events'],
  'socket.io': [/^(\*|Server)$/, undefined, 'https://socket.io'],
  'socket.io-client': [/^(\*|io|connect)$/, undefined, 'https://socket.io'],
  child_process: [/^(spawn|fork|exec|execFile)$/, undefined, 'https://nodejs.org/api/child_process.html'],
  cluster: [/^\*$/, undefined, 'https://nodejs.org/api/cluster.html'],
  'node-telegram-bot-api': [/^\*$/, undefined, 'https://github.com/yagop/node-telegram-bot-api/blob/master/doc/api.md'],
  'discord.js': [/^Client$/, undefined, 'https://discord.js.org/docs/packages/discord.js/main/Client:Class'],
  'whatsapp-web.js': [/^Client$/, undefined, 'https://docs.wwebjs.dev/Client.html'],
  'tmi.js': [/^(client|Client)$/, undefined, 'https://github.com/tmijs/tmi.js'],
  chokidar: [/^watch$/, undefined, 'https://github.com/paulmillr/chokidar'],
}

/** What a call makes; undefined: no emitter that is known. With its file, also by what was taken of a module there. */
export function emitterOf({ callee }: Call, file?: IndexedFile): EmitterKind | undefined {
  if (callee.root === 'module' && file !== undefined) return madeBy(...taken(fullName(file, callee) ?? ''))
  if (!callee.root.startsWith('import:')) return undefined
  const [module = '', imported = '*'] = callee.root.slice('import:'.length).split('#')
  const dot = callee.text.indexOf('.')
  const rest = dot === -1 ? '' : callee.text.slice(dot + 1)
  // Of `net.connect` with the whole module imported: the part behind the dot; of a name that was imported: that name.
  const made = imported === '*' ? (rest === '' ? '*' : rest) : rest === '' ? imported : `${imported}.${rest}`
  return madeBy(module, made)
}

/** `const { Pool } = pg`: the module, and what was taken of it. */
function taken(name: string): readonly [module: string, made: string] {
  const dot = name.indexOf('.')
  return dot === -1 ? [name, '*'] : [name.slice(0, dot), name.slice(dot + 1)]
}

function madeBy(module: string, made: string): EmitterKind | undefined {
  const library = module.replace(/^node:/, '').replace(/\/callback_api$/, '')
  const row = Object.hasOwn(MADE, library) ? MADE[library] : undefined
  if (row === undefined || !row[0].test(made)) return undefined
  return { library, fatal: row[1], source: row[2] }
}
