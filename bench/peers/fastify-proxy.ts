// The usual way to a gateway in Node: fastify with @fastify/http-proxy. `node fastify-proxy.ts PORT UPSTREAM`.

import proxy from '@fastify/http-proxy'
import { fastify } from 'fastify'

const [port = '0', upstream = ''] = process.argv.slice(2)
const app = fastify()
await app.register(proxy, { upstream, undici: { connections: 64, pipelining: 1 } })
await app.listen({ host: '127.0.0.1', port: Number(port) })
