// Once for a whole test run, in its main process: a real Postgres, which test files reach with `createTestDatabase`.

import type { TestProject } from 'vitest/node'
import { migrateTestDatabase } from '../packages/server/src/testing/mesh.ts'
import { startTestPostgres } from '../packages/server/src/testing/postgres.ts'

export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const postgres = await startTestPostgres({ prepareTemplate: migrateTestDatabase })
  const { adminUrl, ownerUrl, template } = postgres
  project.provide('postgres', { adminUrl, ownerUrl, template })
  return async () => postgres[Symbol.asyncDispose]()
}
