// Text format: one line for people. Time, level, process and event are aligned, then the fields as name=value; a stack
// or a message of several lines goes below, indented.

import { stripVTControlCharacters } from 'node:util'

const COLOURS: Readonly<Record<string, number>> = { debug: 90, info: 36, warn: 33, error: 31 }
const PROCESS_WIDTH = 10
const EVENT_WIDTH = 28

/** A line of the JSON format as text, closing newline included. */
export function formatText(json: string, coloured: boolean): string {
  const { level, time, process: processName, pid: _pid, event, ...fields } = JSON.parse(json) as Record<string, unknown>
  const paint = (colour: number, text: string) => (coloured ? `\u001b[${colour}m${text}\u001b[0m` : text)
  const head = [
    paint(90, plain(time).slice(11, 23)),
    paint(COLOURS[String(level)] ?? 0, plain(level).padEnd(5)),
    paint(90, plain(processName).padEnd(PROCESS_WIDTH)),
    paint(level === 'error' || level === 'warn' ? 1 : 0, plain(event).padEnd(EVENT_WIDTH)),
  ]
  const below: string[] = []
  const rest = Object.entries(fields).map(
    ([name, value]) => `${paint(90, `${plain(name)}=`)}${writeValue(value, below)}`,
  )
  const more = below.map((line) => `    ${paint(90, line)}\n`).join('')
  return `${[...head, ...rest].join(' ').trimEnd()}\n${more}`
}

function writeValue(value: unknown, below: string[]): string {
  if (typeof value === 'string') return writeText(value, below)
  if (typeof value !== 'object' || value === null) return String(value)
  const { stack, ...rest } = value as Record<string, unknown>
  if (Array.isArray(stack)) {
    below.push(...stack.map(plain))
    return plain(JSON.stringify(rest))
  }
  return plain(JSON.stringify(value))
}

function writeText(text: string, below: string[]): string {
  const [first = '', ...rest] = text.split('\n')
  below.push(...rest.map(plain))
  const shown = plain(first)
  return shown === '' || /[\s="]/.test(shown) ? JSON.stringify(shown) : shown
}

/** Nothing that could move the cursor, recolour the terminal or fake a line. */
function plain(value: unknown): string {
  return stripVTControlCharacters(String(value ?? '')).replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, ' ')
}
