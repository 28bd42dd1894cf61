export { pause } from './pause.ts'
