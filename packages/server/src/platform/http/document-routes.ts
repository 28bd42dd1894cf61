import { createDocsPage } from './docs-page.ts'
import { createOpenApi } from './openapi.ts'
import { type Route, route } from './route.ts'

/** The routes, and with them the two that describe them all, themselves included. */
export function withDocuments(routes: readonly Route[], version: string): readonly Route[] {
  const openapi = route({
    method: 'GET',
    path: '/openapi.json',
    summary: 'This API as OpenAPI 3.1',
    scopes: 'public',
    response: 'application/json',
    handle: () => ({ body: documents().openapi }),
  })
  const docs = route({
    method: 'GET',
    path: '/docs',
    summary: 'This API as a page',
    scopes: 'public',
    response: 'text/html',
    handle: () => documents().page,
  })
  const all = [...routes, openapi, docs]
  // Made when first asked for: 30 schemas take 15 ms, which a start need not pay.
  let made: { readonly openapi: string; readonly page: ReturnType<typeof createDocsPage> } | undefined
  const documents = () => {
    if (made === undefined) {
      const document = createOpenApi(all, version)
      made = { openapi: JSON.stringify(document), page: createDocsPage(document) }
    }
    return made
  }
  return all
}
