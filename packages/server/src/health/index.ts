export { createHealthRoutes } from './routes.ts'
export { type Health, startHealth } from './start.ts'
export type { ProcessGraph } from './wire-graph.ts'
