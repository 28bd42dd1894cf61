// The other half of the seed's pipeline, in a process of its own: a BullMQ worker that writes each job's event to Postgres.

import { Worker } from 'bullmq'
import { Pool } from 'pg'

const [redisUrl = '', databaseUrl = ''] = process.argv.slice(2)
const { hostname, port } = new URL(redisUrl)
const pool = new Pool({ connectionString: databaseUrl, max: 16 })
await pool.query(
  'create table if not exists seed_events (id bigserial primary key, session_id text, event_type text, state_snapshot jsonb, at timestamptz default now())',
)
const text = 'insert into seed_events (session_id, event_type, state_snapshot) values ($1, $2, $3)'
new Worker(
  'db-writes',
  async ({ data }: { data: { sessionId: string; eventType: string; state: unknown } }) => {
    await pool.query({ name: 'write', text, values: [data.sessionId, data.eventType, data.state] })
  },
  { connection: { host: hostname, port: Number(port) }, concurrency: 16 },
)
process.on('message', () => process.send?.({ id: 1, value: undefined })) // ready, as ipc.ts asks
process.on('disconnect', () => process.exit())
