// `npm run bench [NAME…] [-- --quick …]`: the benchmarks, each in its own process, beside their peers. They install on first use.

import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ensureInstalled, environment, fail, findNode, root } from './bootstrap.mjs'

ensureInstalled()
const node = findNode()
const bench = join(root, 'bench')
const all = readdirSync(bench)
  .filter((file) => file.endsWith('.bench.ts'))
  .map((file) => file.slice(0, -'.bench.ts'.length))
// What follows the first flag goes to the benchmarks.
const words = process.argv.slice(2)
const flag = words.findIndex((word) => word.startsWith('--'))
const names = flag < 0 ? words : words.slice(0, flag)
const flags = flag < 0 ? [] : words.slice(flag)
const chosen = names.length > 0 ? names : all
for (const name of chosen) if (!all.includes(name)) fail(`no benchmark named ${name}: there are ${all.join(', ')}`)
const wanted = Object.keys(JSON.parse(readFileSync(join(bench, 'package.json'), 'utf8')).dependencies)
if (!wanted.every((name) => existsSync(join(bench, 'node_modules', name)))) {
  const done = spawnSync('npm', ['install', '--loglevel=error'], {
    cwd: bench,
    stdio: 'inherit',
    shell: process.platform === 'win32',
  })
  if (done.status !== 0) fail('the benchmarks could not be installed')
}
let failed = 0
for (const name of chosen) {
  const done = spawnSync(node, [join(bench, `${name}.bench.ts`), ...flags], {
    cwd: bench,
    stdio: 'inherit',
    env: environment(node),
  })
  if (done.status !== 0) failed++
}
const ORDER = [
  'call',
  'gateway',
  'delivery',
  'delivery-peers',
  'sessions',
  'timesync',
  'faults',
  'amplification',
  'start',
  'interference',
  'audit',
]
const results = ORDER.map((name) => join(bench, 'results', `${name}.md`)).filter((file) => existsSync(file))
const head = `# Results

Each figure beside the peers in the same run, on a shared machine of 2 cores; ratios and CPU per operation are what to quote. Assembled by
\`npm run bench\`, which runs all of it; \`npm run bench NAME\` runs one. Needs \`wrk\` and \`haproxy\` (Debian's packages) for gateway and interference.

`
writeFileSync(join(bench, 'RESULTS.md'), head + results.map((file) => readFileSync(file, 'utf8')).join('\n'))
process.exitCode = failed === 0 ? 0 : 1
