export { findReplayEndpoint } from './endpoints.ts'
export { createReplaysUpkeep } from './retention.ts'
export { createReplayRoutes } from './routes.ts'
export { type ReplayEndpoint, startReplays } from './worker.ts'
