// `npm run bench [NAME…]`: the benchmarks, each in its own process, beside their peers. They install on first use.

import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { ensureInstalled, environment, fail, findNode, root } from './bootstrap.mjs'

ensureInstalled()
const node = findNode()
const bench = join(root, 'bench')
const all = readdirSync(bench)
  .filter((file) => file.endsWith('.bench.ts'))
  .map((file) => file.slice(0, -'.bench.ts'.length))
const chosen = process.argv.slice(2).length > 0 ? process.argv.slice(2) : all
for (const name of chosen) if (!all.includes(name)) fail(`no benchmark named ${name}: there are ${all.join(', ')}`)
if (!existsSync(join(bench, 'node_modules'))) {
  const done = spawnSync('npm', ['install', '--loglevel=error'], {
    cwd: bench,
    stdio: 'inherit',
    shell: process.platform === 'win32',
  })
  if (done.status !== 0) fail('the benchmarks could not be installed')
}
let failed = 0
for (const name of chosen) {
  const done = spawnSync(node, [join(bench, `${name}.bench.ts`)], {
    cwd: bench,
    stdio: 'inherit',
    env: environment(node),
  })
  if (done.status !== 0) failed++
}
process.exitCode = failed === 0 ? 0 : 1
