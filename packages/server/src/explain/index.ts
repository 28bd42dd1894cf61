export { checkDelivery } from './check-store.ts'
export { startChecking } from './checking.ts'
export { createExplainRoutes } from './routes.ts'
