// A primary and its standby, of a Postgres that this machine has with pg_basebackup: the embedded one comes without. What
// streams between them goes through a fault proxy.

import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chownSync, existsSync, mkdirSync, readdirSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { delimiter, dirname, join } from 'node:path'
import { type FaultProxy, startFaultProxy } from '@ripstop/faults'
import { Client } from 'pg'
import { childrenOf, findFreePort, makeScratch, until } from '../../packages/server/src/testing/processes.ts'

const MAJORS = { least: 15, most: 18 } as const
const TOOLS = ['initdb', 'postgres', 'pg_basebackup'] as const
/** Postgres refuses to run as root. */
const NOBODY = 65_534
const DATABASE = 'ripstop'

export interface Tools {
  readonly folder: string
  readonly major: number
}

/** Undefined: this machine has no Postgres that fits. PG_BIN names a folder to look in first. */
export function findTools(): Tools | undefined {
  const debian = '/usr/lib/postgresql'
  const installed = existsSync(debian) ? readdirSync(debian).map((major) => join(debian, major, 'bin')) : []
  const onPath = (process.env.PATH ?? '').split(delimiter)
  const folders = [process.env.PG_BIN ?? '', ...installed.toSorted().toReversed(), ...onPath]
  for (const folder of folders) {
    if (folder === '' || !TOOLS.every((tool) => existsSync(join(folder, tool)))) continue
    const major = Number(/ (\d+)/.exec(versionOf(folder, 'pg_basebackup'))?.[1])
    const isWhole = versionOf(folder, 'postgres').includes(` ${major}`)
    if (isWhole && major >= MAJORS.least && major <= MAJORS.most) return { folder, major }
  }
  return undefined
}

function versionOf(folder: string, tool: string): string {
  return spawnSync(join(folder, tool), ['--version'], { encoding: 'utf8' }).stdout ?? ''
}

export interface Node extends AsyncDisposable {
  readonly port: number
  readonly url: string
  /** SIGSTOP and SIGCONT reach all its processes; after any other it resolves once it is gone. */
  kill(signal: NodeJS.Signals): Promise<void>
  /** As it was. */
  start(): Promise<void>
  query<Row>(text: string, timeoutMs?: number): Promise<Row[]>
}

export interface Pair extends AsyncDisposable {
  readonly primary: Node
  readonly standby: Node
  /** Between them. */
  readonly replication: FaultProxy
  /** Both hosts, the first primary first. */
  readonly url: string
  /** Commits wait for the standby, or no longer do. */
  replicate(how: 'synchronously' | 'asynchronously'): Promise<void>
  /** Makes the standby a primary. */
  promote(): Promise<void>
  /** Makes the old primary a standby of the new one, from a fresh copy, as a failover manager would. */
  demote(): Promise<void>
}

export async function startPair(tools: Tools): Promise<Pair> {
  await using starting = new AsyncDisposableStack()
  const scratch = starting.use(await makeScratch())
  const first = new PostgresNode(tools, join(scratch.path, 'first'), await findFreePort())
  const second = new PostgresNode(tools, join(scratch.path, 'second'), await findFreePort())
  starting.use(first)
  starting.use(second)
  await first.create()
  await first.start()
  await first.query(`create database ${DATABASE}`)
  const replication = starting.use(await startFaultProxy({ upstream: { host: '127.0.0.1', port: first.port } }))
  await second.copyFrom(replication.port)
  await second.start()
  const owned = starting.move()
  return {
    primary: first,
    standby: second,
    replication,
    url: `postgres://postgres@127.0.0.1:${first.port},127.0.0.1:${second.port}/${DATABASE}`,
    replicate: async (how) => {
      await first.query(`alter system set synchronous_standby_names = '${how === 'synchronously' ? '*' : ''}'`)
      await first.query('select pg_reload_conf()')
      await until('the standby streams', async () => {
        const wanted = how === 'synchronously' ? 'sync' : 'async'
        const [row] = await first.query<{ sync_state: string }>('select sync_state from pg_stat_replication')
        return row?.sync_state === wanted
      })
    },
    promote: async () => void (await second.query('select pg_promote()', 30_000)),
    demote: async () => {
      await first.kill('SIGKILL')
      await first.copyFrom(second.port)
      await first.start()
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

class PostgresNode implements Node {
  readonly port: number
  readonly #tools: Tools
  readonly #folder: string
  #child: ReturnType<typeof spawn> | undefined

  constructor(tools: Tools, folder: string, port: number) {
    this.#tools = tools
    this.#folder = folder
    this.port = port
  }

  get url(): string {
    return `postgres://postgres@127.0.0.1:${this.port}/${DATABASE}`
  }

  async create(): Promise<void> {
    this.#makeFolder()
    await this.#run('initdb', ['-D', this.#folder, '-U', 'postgres', '--auth=trust', '--no-sync', '--encoding=UTF8'])
  }

  /** A base backup of the server on `port`; it streams from there when started. */
  async copyFrom(port: number): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 })
    this.#makeFolder()
    const from = `host=127.0.0.1 port=${port} user=postgres`
    await this.#run('pg_basebackup', ['-D', this.#folder, '-d', from, '-X', 'stream', '-R', '-c', 'fast', '--no-sync'])
  }

  async start(): Promise<void> {
    const settings = {
      port: this.port,
      listen_addresses: '127.0.0.1',
      unix_socket_directories: '',
      fsync: 'off', // processes are killed, the machine is not
      wal_keep_size: '256MB',
      hot_standby: 'on',
      idle_in_transaction_session_timeout: '10s',
      max_connections: 100,
      wal_receiver_timeout: '5s',
      wal_retrieve_retry_interval: '200ms',
    }
    const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
    this.#child = spawn(join(this.#tools.folder, 'postgres'), ['-D', this.#folder, ...flags], {
      ...this.#runAs(),
      cwd: '/',
      stdio: 'ignore',
    })
    await until(
      'Postgres answers',
      () =>
        this.query('select 1').then(
          () => true,
          () => false,
        ),
      30_000,
    )
  }

  async kill(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child
    if (child?.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
    const pids = [child.pid, ...(await childrenOf(child.pid))]
    for (const pid of pids) {
      try {
        process.kill(pid, signal)
      } catch {
        // It is gone.
      }
    }
    if (signal === 'SIGSTOP' || signal === 'SIGCONT') return
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
  }

  async query<Row>(text: string, timeoutMs = 5_000): Promise<Row[]> {
    const database = text.startsWith('create database') || text === 'select 1' ? 'postgres' : DATABASE
    const connectionString = `postgres://postgres@127.0.0.1:${this.port}/${database}`
    const client = new Client({ connectionString, connectionTimeoutMillis: 2_000, query_timeout: timeoutMs })
    client.on('error', () => {}) // told by the promises below
    try {
      await client.connect()
      return (await client.query(text)).rows as Row[]
    } finally {
      client.end().catch(() => {}) // not awaited: the server may be frozen
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill('SIGKILL')
  }

  #makeFolder(): void {
    mkdirSync(this.#folder, { mode: 0o700 })
    const { uid, gid } = this.#runAs()
    if (uid !== undefined && gid !== undefined) chownSync(this.#folder, uid, gid)
  }

  #runAs(): { readonly uid?: number; readonly gid?: number } {
    return process.getuid?.() === 0 ? { uid: NOBODY, gid: NOBODY } : {}
  }

  async #run(tool: string, args: readonly string[]): Promise<void> {
    const child = spawn(join(this.#tools.folder, tool), args, {
      ...this.#runAs(),
      cwd: dirname(this.#folder),
      env: { PATH: this.#tools.folder, LC_ALL: 'C' },
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    let said = ''
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      said += text
    })
    const [code] = (await once(child, 'close')) as [number | null]
    if (code !== 0) throw new Error(`${tool} ended with ${code}: ${said.slice(-2_000)}`)
  }
}
