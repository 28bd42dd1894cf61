export { createRedisLink, type RedisOfMesh } from './redis-link.ts'
