// A receiver in a process of its own, to be killed: node receiver.fixture.ts DATABASE_URL SECRET [after-effect|after-commit].
// It says where it listens, and stops for ever at the named point after having said that it is there.

import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Pool, type PoolClient } from 'pg'
import { createPostgresInbox } from './postgres-inbox.ts'
import { receiveOnce } from './receive-once.ts'
import { toNodeHandler } from './servers.ts'

const [url = '', secrets = '', stopAt = ''] = process.argv.slice(2)
const pool = new Pool({ connectionString: url, max: 10 })
const stop = async (point: string): Promise<void> => {
  if (point !== stopAt) return
  process.send?.(point)
  await new Promise(() => {})
}
const inbox = createPostgresInbox(
  {
    connect: async (): Promise<PoolClient> => {
      const client = await pool.connect()
      const query = client.query.bind(client) as (text: string, values?: unknown[]) => Promise<unknown>
      const stopping = async (text: string, values?: unknown[]): Promise<unknown> => {
        const result = await query(text, values)
        if (text.endsWith('commit')) await stop('after-commit')
        return result
      }
      return Object.assign(Object.create(client) as PoolClient, { query: stopping })
    },
  },
  { source: 'orders' },
)
const receive = receiveOnce({
  inbox,
  secrets,
  apply: async (event, tx) => {
    await tx.query('insert into effects (id) values ($1)', [event.id])
    await stop('after-effect')
  },
})
const server = createServer(toNodeHandler(receive))
server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port))
process.on('disconnect', () => process.exit(0))
