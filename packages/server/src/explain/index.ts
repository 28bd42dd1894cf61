export { checkDelivery } from './check-store.ts'
export { createExplainRoutes } from './routes.ts'
