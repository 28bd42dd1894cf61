// Writes the published documents anew: run it by `node scripts/accept-docs.mjs` when a change of the API is meant.

import { readFileSync, writeFileSync } from 'node:fs'
import { findBreakingChanges, type OpenApi } from './breaking-changes.ts'
import { createErrorsDocument, createOpenApiDocument } from './documents.ts'

const openApi = createOpenApiDocument()
const breaking = findBreakingChanges(readPublished(openApi.path), JSON.parse(openApi.text) as OpenApi)
for (const change of breaking) process.stdout.write(`breaks clients: ${change}\n`)
for (const { path, text } of [openApi, createErrorsDocument()]) {
  writeFileSync(path, text)
  process.stdout.write(`wrote ${path}\n`)
}

/** Before the first time there is nothing that could break. */
function readPublished(path: string): OpenApi {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as OpenApi
  } catch {
    return JSON.parse(openApi.text) as OpenApi
  }
}
