// A process to be killed: drains the Redis of the first argument into the database of the second one.

import { createRedisAdapter } from '@ripstop/kernel/redis'
import { startTestMesh } from '../testing/mesh.ts'
import { startWriteBehind } from './write-behind.ts'

const OWNER = '00000000-0000-7000-8000-0000000000aa'

const [redisUrl = '', url = ''] = process.argv.slice(2)
const { env, mesh, link, log, ctx } = await startTestMesh(url)
const redis = mesh.link('redis.main', createRedisAdapter({ url: redisUrl }), { deadlineMs: 2_000 })
redis.start()
await redis.whenUp(ctx.within(10_000))
startWriteBehind({ env, log, metrics: mesh.metrics, redis, link, owner: OWNER, keepMs: 0, leaseMs: 1_000 })
process.stdout.write('ready\n')
