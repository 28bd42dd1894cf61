import { expect, test } from 'vitest'
import { foundIn } from '../found.fixture.ts'
import { guardCannotFire } from './guard-cannot-fire.ts'

const round = (head: string, held: string): string =>
  `${head}\nasync def round():\n    ${held}:\n        await step()\n`

test.each([
  ['made where it is taken', round('import asyncio', 'async with asyncio.Lock()'), ['strong 3']],
  ['by its own name', round('from threading import RLock', 'with RLock()'), ['strong 3']],
  ['kept', round('import asyncio\nlock = asyncio.Lock()', 'async with lock'), []],
  ['of a store', round('from redis.lock import Lock', 'with Lock(client, "a")'), []],
  ['another thing that is held', round('import asyncio', 'async with asyncio.timeout(5)'), []],
])('QW7: a lock: %s', (_name, source, expected) => {
  expect(foundIn(guardCannotFire, { 'src/a.py': source })).toEqual(expected)
})
