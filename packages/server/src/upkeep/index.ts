export { startUpkeep, type UpkeepTask } from './start.ts'
