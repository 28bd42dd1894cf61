// A shop. The order and the event that tells of it are one transaction: there is never one without the other.

import { Client } from 'pg'

const shop = new Client({ connectionString: process.env.DATABASE_URL })
await shop.connect()
while (process.connected) {
  await shop.query('begin')
  const { rows } = await shop.query(`insert into shop.orders (item) values ('rope') returning id, item`)
  await shop.query('select ripstop.publish($1)', [{ source: '/shop', type: 'order.placed', data: rows[0] }])
  await shop.query('commit')
}
