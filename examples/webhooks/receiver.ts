// Who ships the orders. However often a webhook comes, and whatever dies meanwhile, an order is shipped once.

import { createServer } from 'node:http'
import { type CloudEvent, createPostgresInbox, receiveOnce, toNodeHandler } from '@ripstop/sdk/webhooks'
import { Pool } from 'pg'

const pool = new Pool({ connectionString: process.env.DATABASE_URL })
const inbox = createPostgresInbox(pool, { source: 'shipping', table: 'shipping.webhook_inbox' })
await inbox.createTable()
const receive = receiveOnce({
  inbox,
  secrets: process.env.WEBHOOK_SECRET ?? '',
  apply: ({ data }: CloudEvent<{ id: number }>, tx) =>
    tx.query('insert into shipping.parcels (order_id) values ($1)', [data.id]),
})
const server = createServer(toNodeHandler(receive)).listen(Number(process.env.PORT), '127.0.0.1')

server.once('listening', () => process.send?.('ready'))
process.on('disconnect', () => process.exit(0)) // whoever started it is gone
