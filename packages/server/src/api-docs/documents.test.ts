import { readFileSync } from 'node:fs'
import { errorCodes } from '@ripstop/kernel'
import { describe, expect, test } from 'vitest'
import { findBreakingChanges, type OpenApi } from './breaking-changes.ts'
import { createErrorsDocument, createOpenApiDocument, type PublishedDocument } from './documents.ts'

const ACCEPT = 'if the change is meant, run: node scripts/accept-docs.mjs'

function readPublished({ path }: PublishedDocument): string {
  return readFileSync(path, 'utf8').replaceAll('\r\n', '\n')
}

describe('published documents', () => {
  test('the API has no change that breaks a client', () => {
    const document = createOpenApiDocument()
    const published = JSON.parse(readPublished(document)) as OpenApi
    const breaking = findBreakingChanges(published, JSON.parse(document.text) as OpenApi)
    expect(breaking, `these changes break clients: keep the old beside the new, or ${ACCEPT}`).toEqual([])
  })

  test('docs/openapi.json is what the code makes', () => {
    const document = createOpenApiDocument()
    expect(JSON.parse(readPublished(document)), `it is not current; ${ACCEPT}`).toEqual(JSON.parse(document.text))
  })

  test('docs/errors.md is what the code makes', () => {
    const document = createErrorsDocument()
    expect(readPublished(document), `it is not current; ${ACCEPT}`).toBe(document.text)
  })

  test('every path of the API is there, with the scopes that it needs', () => {
    const { paths } = JSON.parse(createOpenApiDocument().text) as OpenApi
    for (const path of [
      '/livez',
      '/readyz',
      '/health',
      '/ready',
      '/health/readiness',
      '/health/migrations',
      '/metrics',
      '/',
      '/docs',
    ]) {
      expect(paths[path]?.get).toBeDefined()
    }
    expect(paths['/v1/keys']?.post?.description).toBe('Needs the scope keys:write.')
    expect(paths['/v1/keys']?.post?.parameters.map(({ name }) => name)).toEqual(['Idempotency-Key'])
    const switching = paths['/v1/sessions/{session_id}/switch']?.post
    expect(switching?.parameters.map(({ name }) => name)).toEqual(['session_id', 'Idempotency-Key', 'If-Match'])
    expect(switching?.responses[200]?.headers).toHaveProperty('ETag')
    expect(Object.keys(paths)).toEqual(
      expect.arrayContaining(['/v1/keys/{key_id}', '/v1/tenants', '/v1/audit', '/v1/mesh/graph', '/v1/mesh/events']),
    )
  })

  test('every code says what to do, in a sentence, and has a status that fits it', () => {
    for (const [code, { http, fix }] of errorCodes()) {
      expect(fix, code).toMatch(/^[A-Z`].+[.]$/)
      expect(http, code).toBeGreaterThanOrEqual(400)
      expect(http, code).toBeLessThan(600)
    }
  })
})
