import { CONTROL_SCOPES } from '@ripstop/protocol'

/** Made by the first migration. Its keys operate the mesh; those of any other tenant see that tenant only. */
export const DEFAULT_TENANT_ID = '00000000-0000-7000-8000-000000000000'

/** About the whole mesh: of no use outside the default tenant, and not given there. */
const MESH_WIDE: ReadonlySet<string> = new Set(['admin', 'tenants:read', 'tenants:write', 'mesh:read'])

/** Every scope there is: the control API's own, and those of the gateway's routes. */
export function createScopeList(routeScopes: readonly string[]): readonly string[] {
  return [...new Set([...Object.keys(CONTROL_SCOPES), ...routeScopes])]
}

/** What a key's scopes let it do. `admin` of another tenant is everything within that tenant. */
export function effectiveScopes(
  tenantId: string,
  scopes: readonly string[],
  all: readonly string[],
): readonly string[] {
  if (tenantId === DEFAULT_TENANT_ID) return scopes
  const meant = scopes.includes('admin') ? all : scopes
  return meant.filter((scope) => !MESH_WIDE.has(scope))
}
