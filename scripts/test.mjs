// `npm test`: types, lint, then every test on real Postgres and Redis. Ends with `N passed, N failed` alone on a line.
// With arguments it runs the tests that they name (they go to vitest).
// Tests kill processes and wait for real clocks: on a loaded machine one may fail for want of a processor. A few files that failed are
// run once more, alone, and told as UNSTABLE if they pass then; what fails alone, or many files, is a failure.

import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { ensureInstalled, environment, fail, findNode, root } from './bootstrap.mjs'

/** More than so many are not chance. */
const UNSTABLE_FILES_MAX = 3
const OUTSIDE = 'outside of any test'

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

/** Every test file in parallel; then those that failed once more, alone. */
function runTests() {
  const files = runVitest(chosen)
  const failing = [...files].filter(([, { failed }]) => failed > 0).map(([file]) => file)
  const isFew = failing.length > 0 && failing.length <= UNSTABLE_FILES_MAX && !files.has(OUTSIDE)
  if (isFew && chosen.length === 0) {
    process.stdout.write(`\nonce more, alone: ${failing.join(' ')}\n`)
    for (const [file, counts] of runVitest([...failing, '--no-file-parallelism'])) {
      if (counts.failed === 0) process.stdout.write(`UNSTABLE: ${file} failed beside others and passed alone\n`)
      files.set(file, counts)
    }
  }
  const sum = (count) => [...files.values()].reduce((total, counts) => total + counts[count], 0)
  return { passed: sum('passed'), failed: sum('failed') }
}

/** How many tests of each file passed and failed. A file that can't even load, or an error outside any test, is a failure too. */
function runVitest(args) {
  const folder = mkdtempSync(join(tmpdir(), 'ripstop-test-'))
  const report = join(folder, 'report.json')
  const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs')
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`]
  const done = spawnSync(node, [vitest, 'run', ...reporters, ...args], { cwd: root, env, stdio: 'inherit' })
  try {
    const { testResults } = existsSync(report) ? JSON.parse(readFileSync(report, 'utf8')) : { testResults: [] }
    const files = new Map(
      testResults.map(({ name, status, assertionResults }) => {
        const count = (wanted) => assertionResults.filter((result) => result.status === wanted).length
        const failed = count('failed')
        return [
          relative(root, name),
          { passed: count('passed'), failed: status === 'failed' && failed === 0 ? 1 : failed },
        ]
      }),
    )
    const isTold = [...files.values()].some(({ failed }) => failed > 0)
    if (done.status !== 0 && !isTold) files.set(OUTSIDE, { passed: 0, failed: 1 })
    return files
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
