import type { Route } from './exchange.ts'

/** Path and query for the upstream: as they came, but for a prefix that the route takes off and one that the upstream has. */
export function upstreamPath({ config, path, upstream }: Route, target: string): string {
  if (!config.stripPrefix) return upstream.pathPrefix + target
  const rest = target.slice(path.length)
  return `${upstream.pathPrefix}${rest.startsWith('/') ? '' : '/'}${rest}`
}
