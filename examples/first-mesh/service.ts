// A service as small as it gets: `node service.ts NAME PORT`. It answers, and says how long it has been alive.

import { createServer } from 'node:http'

const [name = 'service', port = '0'] = process.argv.slice(2)
const DATA: Readonly<Record<string, unknown>> = {
  orders: [
    { id: 1, item: 'rope', count: 2 },
    { id: 2, item: 'sail', count: 1 },
  ],
  stock: { rope: 40, sail: 3 },
}

createServer((request, response) => {
  const path = new URL(request.url ?? '/', 'http://service').pathname
  const known = path === '/health' || path.startsWith(`/${name}`)
  response.writeHead(known ? 200 : 404, { 'content-type': 'application/json' })
  response.end(
    `${JSON.stringify({ service: name, pid: process.pid, alive_s: Math.round(process.uptime()), data: DATA[name] })}\n`,
  )
}).listen(Number(port), '127.0.0.1', () => process.send?.('ready'))

process.on('disconnect', () => process.exit(0)) // whoever started it is gone
