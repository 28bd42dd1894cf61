// The only composition root's door: reads the outside world once (arguments, environment, signals) and hands it on.
// Commands are loaded when asked for, so that `ripstop graph` doesn't pay for a database driver.

import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { isRipstopError, systemClock } from '@ripstop/kernel'
import type { CommandDoc, Terminal } from './cli/terminal.ts'

const COMMANDS: Readonly<Record<string, () => Promise<CommandDoc>>> = {
  up: async () => (await import('./cli/up.ts')).createUp({ program: PROGRAM, stopped: terminal.stopped }),
  config: async () => (await import('./cli/config.ts')).config,
  graph: async () => (await import('./cli/graph.ts')).graph,
  keys: async () => (await import('./cli/keys.ts')).keys,
  fault: async () => (await import('./cli/fault.ts')).fault,
  events: async () => (await import('./cli/events.ts')).events,
  webhooks: async () => (await import('./cli/webhooks.ts')).webhooks,
  inbound: async () => (await import('./cli/inbound.ts')).inbound,
  audit: async () => (await import('./cli/audit.ts')).audit,
}

/** What a role's process is started with: the same door as ours, which keeps compiled code between starts. */
const PROGRAM = join(import.meta.dirname, '..', 'bin', 'ripstop.js')

/** Ctrl-C reaches us from the terminal and again through whoever started us: within this time it is one signal. */
const SAME_SIGNAL_MS = 500

const [name = 'help', ...argv] = process.argv.slice(2)
const terminal: Terminal = {
  argv,
  cwd: process.cwd(),
  env: process.env,
  out: (said) => void process.stdout.write(said),
  error: (said) => void process.stderr.write(said),
  input: () => text(process.stdin),
  isWatched: process.stderr.isTTY === true,
  columns: process.stdout.isTTY ? process.stdout.columns : undefined,
  stopped: createFirstSignal(),
}
process.exitCode = await main()
// Everything has ended in order; a timer without a purpose, such as the wheel's last wake-up, could hold us for 5 s more.
process.stdout.write('', () => process.exit())

async function main(): Promise<number> {
  try {
    if (name === 'process') return await (await import('./process/main.ts')).runProcess(terminal)
    const load = COMMANDS[name]
    if (load !== undefined) return await (await load()).run(terminal)
    const asked = name === 'help' || name === '--help' || name === '-h'
    const docs = await Promise.all(Object.values(COMMANDS).map((each) => each()))
    const lines = docs.map(({ usage, summary }) => `  ripstop ${usage}\n      ${summary}`)
    ;(asked ? terminal.out : terminal.error)(`${asked ? '' : `no such command: ${name}\n\n`}${lines.join('\n')}\n`)
    return asked ? 0 : 2
  } catch (error) {
    return explain(error)
  }
}

/** What went wrong and what to do; the stack only for defects of ours. */
function explain(error: unknown): number {
  if (isRipstopError(error)) {
    terminal.error(`${error.code}: ${error.message}\n${error.fix === '' ? '' : `${error.fix}\n`}`)
    return 1
  }
  // node:util's parseArgs says what it did not understand.
  const usage = error instanceof TypeError && 'code' in error && String(error.code).startsWith('ERR_PARSE_ARGS')
  terminal.error(
    usage ? `${error.message}\n` : `${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
  )
  return usage ? 2 : 1
}

/** A promise of the first SIGINT or SIGTERM; the second exits at once, whatever is still under way. */
function createFirstSignal(): () => Promise<string> {
  let first: Promise<string> | undefined
  const listen = (): Promise<string> =>
    new Promise((resolve) => {
      let firstMs: number | undefined
      const hear = (signal: string): void => {
        const nowMs = systemClock.monoMs()
        firstMs ??= nowMs
        if (nowMs - firstMs > SAME_SIGNAL_MS) process.exit(signal === 'SIGINT' ? 130 : 143)
        resolve(signal)
      }
      process.on('SIGINT', hear)
      process.on('SIGTERM', hear)
    })
  return () => {
    first ??= listen()
    return first
  }
}
