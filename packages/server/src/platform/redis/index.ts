export { createRedisLink } from './redis-link.ts'
