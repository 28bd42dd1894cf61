// Writes docs/openapi.json, docs/errors.md and docs/audit-rules.md anew from the code, and says what breaks clients of the version before.

import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { ensureInstalled, environment, findNode, root } from './bootstrap.mjs'

ensureInstalled()
const node = findNode()
const options = { cwd: root, env: environment(node), stdio: 'inherit' }
const made = spawnSync(node, [join(root, 'packages', 'server', 'src', 'api-docs', 'accept.ts')], options)
const rules = spawnSync(node, [join(root, 'packages', 'audit', 'src', 'accept.ts')], options)
const biome = join(root, 'node_modules', '.bin', 'biome')
if (made.status === 0)
  spawnSync(biome, ['format', '--write', '--no-errors-on-unmatched', join('docs', 'openapi.json')], options)
process.exitCode = made.status || rules.status || 0
