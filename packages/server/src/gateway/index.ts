export type { GatewayConfig, GatewayLimits, GatewayRouteConfig, GatewayUpstreamConfig } from './config.ts'
export type { Authenticate, GatewayPrincipal } from './guard.ts'
export { type Gateway, type GatewayDeps, startGateway } from './start.ts'
