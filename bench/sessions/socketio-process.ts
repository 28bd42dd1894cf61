// The peer of the broadcast: Socket.IO 4 as its docs set it up for WebSockets alone, one namespace, `emit` to all.

import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Server } from 'socket.io'
import { answer } from '../ipc.ts'

const http = createServer()
const io = new Server(http, { transports: ['websocket'], perMessageDeflate: false, serveClient: false })
await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve))

answer({
  port: () => (http.address() as AddressInfo).port,
  connected: () => io.engine.clientsCount,
  /** `bursts` turns of the event loop with `size` updates each. Gives the CPU that it took, us, writing included. */
  emit: async ({ bursts, size, payload }: { bursts: number; size: number; payload: unknown }) => {
    const before = process.cpuUsage()
    for (let burst = 0; burst < bursts; burst++) {
      for (let update = 0; update < size; update++) io.emit('update', payload)
      await new Promise((resolve) => setImmediate(resolve))
    }
    const { user, system } = process.cpuUsage(before)
    return user + system
  },
  cpuUs: () => {
    const { user, system } = process.cpuUsage()
    return user + system
  },
})
