export type { Lookup } from './connector.ts'
export type { Destination } from './destination.ts'
export { createEgress, type Egress, type EgressMethod, type EgressOptions, type EgressRequest } from './egress.ts'
export type { EgressAnswer } from './exchange.ts'
