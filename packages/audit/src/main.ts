#!/usr/bin/env node
// The program: the only place that touches the process. Its arguments and exit codes are those of command.ts.

import { runCommand } from './command.ts'
import { createIo } from './io.ts'

const chunks: string[] = []
const io = createIo({
  program: 'ripstop-audit',
  env: process.env,
  isWatched: process.stderr.isTTY === true,
  columns: process.stdout.isTTY ? process.stdout.columns : undefined,
  out: (text) => void chunks.push(text),
  say: (text) => void process.stderr.write(text),
})

process.exitCode = await runCommand(process.argv.slice(2), io)
process.stdout.on('error', () => {}) // `| head` closes the pipe: what it wanted it has
process.stdout.write(chunks.join(''))
