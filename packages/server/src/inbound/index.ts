export { createInbound, type Inbound, type InboundDeps } from './start.ts'
