// Log. An event and its fields, as one JSON line on stdout, or as text for people. Modules take the `Log` interface;
// pino is known here only. Every field passes redaction (TE1), and no line can throw (TE2) or grow without bound (TE3).
// Invariants:
//   LG1. Logging never throws and never waits, not even when nobody reads stdout.
//   LG2. A line is one JSON object (or one text line with what belongs to it below), whatever its fields hold.

import { type Clock, systemClock } from '@ripstop/kernel'
import { type Logger, pino } from 'pino'
import { createLineWriter } from './line-writer.ts'
import { redactFields } from './redaction.ts'
import { formatText } from './text-format.ts'

export type LogLevel = 'debug' | 'info' | 'warn' | 'error'

/** `event` is `<module>.<what happened>`, in the past tense; fields have their units in their names. */
export interface LogFields {
  readonly event: string
  readonly [field: string]: unknown
}

/** What modules are given. */
export interface Log {
  readonly debug: (fields: LogFields) => void
  readonly info: (fields: LogFields) => void
  readonly warn: (fields: LogFields) => void
  readonly error: (fields: LogFields) => void
  /** One whose lines carry these fields too. */
  readonly child: (fields: Readonly<Record<string, unknown>>) => Log
}

/** The process's own log, which must be flushed before it exits. */
export interface ProcessLog extends Log {
  /** Writes out what waits for a slow reader: synchronously, giving up when a second brings no progress. */
  readonly flush: () => void
}

export interface LogOptions {
  readonly level: LogLevel
  /** Which of the mesh's processes speaks: supervisor, edge, work, cli. */
  readonly processName: string
  /** Takes whole lines; default stdout. */
  readonly destination?: { readonly write: (line: string) => void }
  /** auto is text on a terminal, else json. */
  readonly format?: 'auto' | 'json' | 'text'
  /** For text; default: on a terminal. */
  readonly coloured?: boolean
  readonly clock?: Clock
}

/** pino's own fields; a caller's field of that name gets a _ behind it. */
const OWN_FIELDS = ['level', 'time', 'process', 'pid'] as const

/** The process's log. Lines are out before the next statement runs, unless stdout's reader is behind. */
export function createLog(options: LogOptions): ProcessLog {
  const { level, processName, format = 'auto', clock = systemClock } = options
  const onTerminal = options.destination === undefined && process.stdout.isTTY === true
  const asText = format === 'text' || (format === 'auto' && onTerminal)
  const coloured = options.coloured ?? onTerminal
  const timeField = () => `,"time":"${new Date(clock.wallMs()).toISOString()}"`
  const describeDrop = (lines: number): string => {
    const line = `{"level":"warn"${timeField()},"process":${JSON.stringify(processName)},"event":"log.dropped","lines":${lines}}\n`
    return asText ? formatText(line, coloured) : line
  }
  const writer =
    options.destination === undefined ? createLineWriter(process.stdout.fd, { clock, describeDrop }) : undefined
  const out = options.destination ?? writer
  const logger = pino(
    {
      level,
      base: { process: processName, pid: process.pid },
      timestamp: timeField,
      formatters: { level: (label) => ({ level: label }) },
    },
    { write: (line: string) => out?.write(asText ? formatText(line, coloured) : line) },
  )
  return { ...bind(logger, {}), flush: () => writer?.flush() }
}

function bind(logger: Logger, bound: Readonly<Record<string, unknown>>): Log {
  const writeAt = (level: LogLevel) => (fields: LogFields) => {
    if (!logger.isLevelEnabled(level)) return
    try {
      logger[level](prepare({ ...bound, ...fields }))
    } catch {
      // The destination threw. There is nobody left to tell, and the caller has real work to do (LG1).
    }
  }
  return {
    debug: writeAt('debug'),
    info: writeAt('info'),
    warn: writeAt('warn'),
    error: writeAt('error'),
    child: (fields) => bind(logger, { ...bound, ...fields }),
  }
}

function prepare(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const copy = redactFields(fields)
  for (const name of OWN_FIELDS) {
    if (!Object.hasOwn(copy, name)) continue
    copy[`${name}_`] = copy[name]
    delete copy[name]
  }
  return copy
}
