// The page of endpoints, deliveries and dead letters. It is public as the mesh page is: it holds nothing, and asks the API.

import { join } from 'node:path'
import { type Route, readPage, route } from '#platform/http'

export function createWebhooksPageRoutes(): readonly Route[] {
  const page = readPage(join(import.meta.dirname, 'page'))
  return [
    route({
      method: 'GET',
      path: '/webhooks',
      summary: 'Endpoints, live deliveries and dead letters, as a page',
      scopes: 'public',
      response: 'text/html',
      handle: () => page,
    }),
  ]
}
