export { createWebhooksPageRoutes } from './routes.ts'
