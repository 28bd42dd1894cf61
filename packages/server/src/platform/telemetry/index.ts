export { createLog, type Log, type LogFields, type LogLevel, type LogOptions, type ProcessLog } from './log.ts'
export { logMesh } from './mesh-log.ts'
export { redactFields, redactText } from './redaction.ts'
