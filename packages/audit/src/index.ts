// The door of the auditor, for programs: `ripstop audit` and whoever wants the report as data. The command line is main.ts.

export { runCommand } from './command.ts'
export { createIo, type Io } from './io.ts'
export type { Finding } from './model/finding.ts'
export { buildReport } from './reports/build.ts'
export { type Format, render } from './reports/formats.ts'
export { readinessOf, renderReadiness } from './reports/readiness.ts'
export type { Report } from './reports/report.ts'
export { parseResults } from './reports/results.ts'
export { RULES } from './rules/index.ts'
export { type Scan, scan } from './scan.ts'
