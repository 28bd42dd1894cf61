export { websocketFault } from './fault.ts'
export { createWebsocketAdapter, type WebsocketAdapterOptions } from './websocket-adapter.ts'
export { type WebsocketMessage, WebsocketPeer } from './websocket-peer.ts'
