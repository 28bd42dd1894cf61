import type { Link, Mesh } from '@ripstop/kernel'
import { createHttpAdapter, type HttpPool } from '@ripstop/kernel/http'
import type { GatewayConfig, GatewayUpstreamConfig } from './config.ts'

/** The link `upstream.<name>`, not started: of the gateway, and of whoever sends later what the gateway took. */
export function createUpstreamLink(
  mesh: Mesh,
  config: GatewayUpstreamConfig,
  { headerBytesMax }: Pick<GatewayConfig['server'], 'headerBytesMax'>,
): Link<HttpPool> {
  const adapter = createHttpAdapter({
    origin: config.url.origin,
    connections: config.connections,
    probe: { path: `${config.url.pathPrefix}${config.probe.path}` },
    headerBytesMax: Math.max(headerBytesMax, 16_384),
  })
  const { bulkhead, deadlineMs, retry, budget, breaker, rate, critical, recoverWithinMs } = config
  return mesh.link(
    `upstream.${config.name}`,
    adapter,
    {
      deadlineMs,
      retry,
      budget,
      breaker,
      bulkhead,
      rate,
      critical,
      recoverWithinMs,
      heartbeatMs: config.probe.everyMs,
      probeDeadlineMs: config.probe.deadlineMs,
    },
    { name: config.name, kind: 'service' },
  )
}
