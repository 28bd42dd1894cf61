export { createRedisAdapter } from './adapter.ts'
export type { RedisOptions } from './settings.ts'
