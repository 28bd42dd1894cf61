// `npm test`: types, lint, then every test on real Postgres and Redis. Ends with `N passed, N failed` alone on a line.
// With arguments it runs the tests that they name (they go to vitest).

import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ensureInstalled, environment, fail, findNode, root } from './bootstrap.mjs'

ensureInstalled()
const node = findNode()
const env = environment(node)
ensureRedis()
const chosen = process.argv.slice(2)
const checks =
  chosen.length > 0
    ? []
    : [run('types', 'tsc', ['--noEmit']), run('lint', 'biome', ['check', '--error-on-warnings', '.'])]
const tests = runTests()
const failed = checks.filter((passed) => !passed).length + tests.failed
process.stdout.write(`\n${checks.filter(Boolean).length + tests.passed} passed, ${failed} failed\n`)
process.exitCode = failed === 0 && tests.passed > 0 ? 0 : 1

function run(name, command, args) {
  const startedMs = Date.now()
  const done = spawnSync(join(root, 'node_modules', '.bin', command), args, { cwd: root, env, stdio: 'inherit' })
  process.stdout.write(
    `${name}: ${done.status === 0 ? 'ok' : 'FAILED'} in ${((Date.now() - startedMs) / 1000).toFixed(1)} s\n`,
  )
  return done.status === 0
}

function runTests() {
  const folder = mkdtempSync(join(tmpdir(), 'ripstop-test-'))
  const report = join(folder, 'report.json')
  const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs')
  const args = [vitest, 'run', '--reporter=default', '--reporter=json', `--outputFile.json=${report}`, ...chosen]
  const done = spawnSync(node, args, { cwd: root, env, stdio: 'inherit' })
  try {
    if (!existsSync(report)) return { passed: 0, failed: 1 }
    const { numPassedTests, numFailedTests, numFailedTestSuites } = JSON.parse(readFileSync(report, 'utf8'))
    // A file that can't even load, or an error outside any test, counts too.
    const broken = numFailedTests === 0 && (numFailedTestSuites > 0 || done.status !== 0) ? 1 : 0
    return { passed: numPassedTests, failed: numFailedTests + broken }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Tests run on a real Redis: REDIS_URL, a redis-server on PATH, or Debian's package when root. */
function ensureRedis() {
  if (process.env.REDIS_URL || found('redis-server') || found('valkey-server')) return
  if (process.getuid?.() === 0 && found('apt-get')) {
    process.stderr.write('ripstop: installing redis-server for the tests (once) …\n')
    const quiet = { stdio: ['ignore', 'ignore', 2], env: { ...env, DEBIAN_FRONTEND: 'noninteractive' } }
    spawnSync('apt-get', ['update', '-qq'], quiet)
    spawnSync('apt-get', ['install', '-y', '-qq', '--no-install-recommends', 'redis-server'], quiet)
    if (found('redis-server')) return
  }
  fail(
    'the tests need a Redis: set REDIS_URL, or install redis-server (Debian: apt-get install redis-server; macOS: brew install redis).',
  )
}

function found(command) {
  const probe = process.platform === 'win32' ? 'where' : 'which'
  return spawnSync(probe, [command], { stdio: 'ignore', env }).status === 0
}
