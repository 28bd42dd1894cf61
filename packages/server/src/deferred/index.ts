export { createDefer } from './defer.ts'
export { createDeferredKind, type DeferredUpstream } from './kind.ts'
export { createDeferredUpkeep } from './retention.ts'
export { createDeferredRoutes } from './routes.ts'
