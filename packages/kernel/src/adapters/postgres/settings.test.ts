import { expect, test } from 'vitest'
import { hasCode } from '../../errors.ts'
import { formatTarget, type PostgresOptions, parsePostgresSettings } from './settings.ts'

function problemsOf(options: PostgresOptions): unknown {
  try {
    parsePostgresSettings(options)
  } catch (error) {
    if (hasCode(error, 'CONFIG_INVALID')) return error.details.problems
    throw error
  }
  return []
}

test('a url gives hosts in order, user, database and the way to encrypt', () => {
  const settings = parsePostgresSettings({
    url: 'postgresql://us%40er:p%3Ass@db1,[::1]:6000,db3:5433/my%20base?sslmode=verify-full&application_name=shop',
  })
  expect(settings.hosts).toEqual([
    { host: 'db1', port: 5432 },
    { host: '::1', port: 6000 },
    { host: 'db3', port: 5433 },
  ])
  expect(settings).toMatchObject({ user: 'us@er', database: 'my base', ssl: {}, applicationName: 'shop', size: 10 })
  expect(settings.password()).toBe('p:ss')
  expect(formatTarget(settings)).toBe('db1:5432,[::1]:6000,db3:5433/my base')
})

test('the database is named after the user if none is named, and options go over the url', () => {
  const settings = parsePostgresSettings({
    url: 'postgres://shop@db',
    size: 3,
    ssl: { ca: 'x' },
    hosts: [{ host: 'a' }],
  })
  expect(settings).toMatchObject({ database: 'shop', size: 3, ssl: { ca: 'x' }, hosts: [{ host: 'a', port: 5432 }] })
})

test('sslmode require encrypts without asking whose certificate it is, as libpq does', () => {
  expect(parsePostgresSettings({ url: 'postgres://u@db?sslmode=require' }).ssl).toEqual({ rejectUnauthorized: false })
})

test('every problem is named at once, and no part of the credentials with it', () => {
  const problems = problemsOf({ url: 'postgres://u:s3cret@db:99999?schema=public&sslmode=prefer', size: 0, waitMs: -1 })
  expect(problems).toEqual([
    'the url has a parameter schema; only sslmode and application_name are known',
    'sslmode must be one of disable, require, verify-ca, verify-full',
    'port is 99999, must be 1 to 65535',
    'size is 0, must be 1 to 1000',
    'waitMs is -1, must be 0 to 600000',
  ])
  expect(problemsOf({ url: 'mysql://u:s3cret@db' })).toHaveLength(3)
  expect(
    JSON.stringify([problems, problemsOf({ url: 'x:s3cret' }), problemsOf({ url: 'postgres://u:s3cret%@h' })]),
  ).not.toContain('s3cret')
})

test('settings that are dumped show no password', () => {
  expect(JSON.stringify(parsePostgresSettings({ url: 'postgres://u:s3cret@db' }))).not.toContain('s3cret')
})
