// A peer to be broken: HTTP and WebSocket on one port of loopback. It answers every request and echoes every message.

import { createServer } from 'node:http'
import { WebSocketServer } from 'ws'

const server = createServer((_request, response) => response.end('ok'))
new WebSocketServer({ server }).on('connection', (socket) => {
  socket.on('error', () => {}) // its connections are broken on purpose
  socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }))
})
server.listen(Number(process.argv[2]), '127.0.0.1')
