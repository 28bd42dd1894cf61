// What is published of the API and kept in the repository: docs/openapi.json and docs/errors.md, both made from the code.

import { join } from 'node:path'
import { createEnv, errorCodes, Mesh } from '@ripstop/kernel'
// Every package and module that has error codes of its own: they register them when they are loaded.
import '@ripstop/audit/codes' // its table alone: the auditor itself is not for a server to load
import '@ripstop/faults'
import '@ripstop/protocol'
import '#gateway'
import '#platform/postgres'
import { createAccessRoutes } from '#access'
import { startApi } from '#api'
import { createHealthRoutes } from '#health'
import { createOpenApi, type Route, withDocuments } from '#platform/http'
import { createSessionRoutes } from '#sessions'

/** Of the API, not of the program: raised when docs/openapi.json changes. */
export const API_VERSION = '1.0.0'

const DOCS = join(import.meta.dirname, '..', '..', '..', '..', 'docs')

export interface PublishedDocument {
  readonly path: string
  readonly text: string
}

export function createOpenApiDocument(): PublishedDocument {
  const document = createOpenApi(withDocuments(createUnboundRoutes(), API_VERSION), API_VERSION)
  return { path: join(DOCS, 'openapi.json'), text: `${JSON.stringify(document, null, 2)}\n` }
}

/** Every route of the control API, to be described and not to be called: their modules are not there. */
function createUnboundRoutes(): readonly Route[] {
  const env = createEnv()
  const nothing = {} as never
  const api = startApi({
    env,
    mesh: new Mesh(env),
    link: nothing,
    webhooks: { settings: {} } as never,
    sealer: nothing,
    consumers: [],
    isStrict: () => false,
    liveKeys: () => Promise.resolve(new Set()),
    eventBytesMax: 262_144,
    secretAgeMs: 0,
  })
  return [
    ...createAccessRoutes(nothing),
    ...api.routes,
    ...createSessionRoutes(nothing),
    ...createHealthRoutes(nothing),
  ]
}

export function createErrorsDocument(): PublishedDocument {
  const rows = [...errorCodes()]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([code, { http, retry, fix }]) => `| \`${code}\` | ${http} | ${retry ? 'yes' : 'no'} | ${fix} |`)
  return { path: join(DOCS, 'errors.md'), text: `${ERRORS_HEAD}\n${rows.join('\n')}\n` }
}

const ERRORS_HEAD = `# Error codes

Made from the tables in the code by \`node scripts/accept-docs.mjs\`: do not edit. Codes are never renamed or reused.
"Retry" says whether the same request, unchanged, may succeed later; \`retry_after_ms\` and \`Retry-After\` say when.

| code | HTTP | retry | what to do |
| --- | --- | --- | --- |`
