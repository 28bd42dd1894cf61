export type { FromProcess, ToProcess } from './messages.ts'
export { type Supervisor, startSupervisor } from './start.ts'
