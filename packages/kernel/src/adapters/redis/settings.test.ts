import { expect, test } from 'vitest'
import { hasCode } from '../../errors.ts'
import { formatTarget, parseRedisSettings, type RedisOptions } from './settings.ts'

function problemsOf(options: RedisOptions): unknown {
  try {
    parseRedisSettings(options)
  } catch (error) {
    if (hasCode(error, 'CONFIG_INVALID')) return error.details.problems
    throw error
  }
  return []
}

test('a url gives host, port, login, database and TLS', () => {
  const settings = parseRedisSettings({ url: 'rediss://us%40er:p%3Ass@[::1]:7000/3' })
  expect(settings).toMatchObject({ host: '::1', port: 7000, username: 'us@er', database: 3, tls: {}, name: 'ripstop' })
  expect(settings.password()).toBe('p:ss')
  expect(formatTarget(settings)).toBe('[::1]:7000/3')
  expect(JSON.stringify(settings)).not.toContain('p:ss')
})

test('what is left out has a default, and options go over the url', () => {
  expect(parseRedisSettings({ url: 'redis://cache' })).toMatchObject({ port: 6379, database: 0, tls: false })
  expect(parseRedisSettings({ url: 'redis://cache/1', database: 2, tls: { ca: 'x' } })).toMatchObject({
    database: 2,
    tls: { ca: 'x' },
  })
})

test('every problem is named at once, and no part of the credentials with it', () => {
  expect(problemsOf({ url: 'redis://:s3cret@cache/0?tls=1', name: 'a b', database: -1 })).toEqual([
    'the url has parameters, and none is known',
    'database must be a number from 0',
    'name must be printable, without spaces',
  ])
  expect(problemsOf({})).toEqual(['no host is given'])
  for (const url of ['http://:s3cret@cache', 'redis://:s3cret@cache/x', 'redis://:s3cret%@cache', 's3cret']) {
    expect(problemsOf({ url })).not.toHaveLength(0)
    expect(JSON.stringify(problemsOf({ url }))).not.toContain('s3cret')
  }
})
