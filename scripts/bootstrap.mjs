// Plain JavaScript for whatever Node the machine has (18 or later): installs what is missing and finds Node 24.

import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = dirname(dirname(fileURLToPath(import.meta.url)))
const NODE_LEAST = [24, 12]

/** Runs `npm install` if the lockfile has changed since the last time it succeeded here. */
export function ensureInstalled() {
  const lock = readFileSync(join(root, 'package-lock.json'))
  const wanted = `${createHash('sha256').update(lock).digest('hex')} ${process.platform}-${process.arch}\n`
  const marker = join(root, 'node_modules', '.ripstop-installed')
  if (existsSync(marker) && readFileSync(marker, 'utf8') === wanted) return
  process.stderr.write('ripstop: installing dependencies (once) …\n')
  // `npm ci` fails where a platform package of another platform is missing from a registry; `npm install` with the
  // lockfile does not. Engine warnings are about the Node that installs, not about the one that will run.
  const npm = process.env.npm_execpath
  const args = ['install', '--no-progress', '--loglevel=error', '--include=dev', '--include=optional']
  const done = npm?.endsWith('.js')
    ? spawnSync(process.execPath, [npm, ...args], { cwd: root, stdio: ['ignore', 2, 2] })
    : spawnSync('npm', args, { cwd: root, stdio: ['ignore', 2, 2], shell: process.platform === 'win32' })
  if (done.status !== 0)
    fail(`npm install failed${done.error ? `: ${done.error.message}` : ''}. Mend that and run the command again.`)
  writeFileSync(marker, wanted)
}

/** The Node that runs Ripstop: the pinned one from npm, else this one if it is new enough. */
export function findNode() {
  const require = createRequire(join(root, 'package.json'))
  const platform = process.platform === 'win32' ? 'win' : process.platform
  try {
    const folder = dirname(require.resolve(`node-${platform}-${process.arch}/package.json`))
    const binary = join(folder, 'bin', process.platform === 'win32' ? 'node.exe' : 'node')
    if (existsSync(binary)) return binary
  } catch {
    // No such package for this platform (Apple silicon, for one): the system's Node must do.
  }
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  if (major > NODE_LEAST[0] || (major === NODE_LEAST[0] && minor >= NODE_LEAST[1])) return process.execPath
  return fail(
    `Ripstop needs Node ${NODE_LEAST.join('.')} or later; this is ${process.versions.node}, and npm has no Node for ` +
      `${process.platform}-${process.arch}. Install Node 24 and run the command again.`,
  )
}

/** The environment in which our own commands are found first. */
export function environment(node) {
  const path = [dirname(node), join(root, 'node_modules', '.bin'), process.env.PATH].join(
    process.platform === 'win32' ? ';' : ':',
  )
  return { ...process.env, PATH: path }
}

/** Becomes `node args`: same terminal, signals passed on, same exit code. */
export function become(node, args) {
  const child = spawn(node, args, { cwd: root, stdio: 'inherit', env: environment(node) })
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
  child.on('exit', (code, signal) => {
    process.exitCode = code ?? (signal === 'SIGINT' ? 130 : 143)
  })
}

export function fail(message) {
  process.stderr.write(`ripstop: ${message}\n`)
  process.exit(1)
}
