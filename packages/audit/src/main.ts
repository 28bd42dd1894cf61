#!/usr/bin/env node
// The program: the only place that touches the process. Its arguments and exit codes are those of command.ts.

import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { systemClock } from '@ripstop/kernel'
import { auditError } from './codes.ts'
import { type Io, runCommand } from './command.ts'

const INPUT_BYTES_MAX = 200_000_000

function versionOf(): string {
  const text = readFileSync(new URL('../package.json', import.meta.url), 'utf8')
  return (JSON.parse(text) as { readonly version: string }).version
}

function readText(path: string): string {
  try {
    const { size } = statSync(path)
    if (size <= INPUT_BYTES_MAX) return readFileSync(path, 'utf8')
  } catch (cause) {
    throw auditError('AUDIT_USAGE', `${path} can't be read`, { cause })
  }
  throw auditError('AUDIT_USAGE', `${path} is too large`)
}

function writeText(path: string, text: string): void {
  try {
    writeFileSync(path, text)
  } catch (cause) {
    throw auditError('AUDIT_USAGE', `${path} can't be written`, { cause })
  }
}

const chunks: string[] = []
const io: Io = {
  clock: systemClock,
  version: versionOf(),
  out: (text) => void chunks.push(text),
  say: (text) => void process.stderr.write(text),
  readText,
  writeText,
}

process.exitCode = runCommand(process.argv.slice(2), io)
process.stdout.on('error', () => {}) // `| head` closes the pipe: what it wanted it has
process.stdout.write(chunks.join(''))
