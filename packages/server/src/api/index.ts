export { type Api, startApi } from './start.ts'
