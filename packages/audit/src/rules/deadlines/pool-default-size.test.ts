import { expect, test } from 'vitest'
import { foundIn } from '../found.fixture.ts'
import { poolDefaultSize } from './pool-default-size.ts'

const POOL = (options: string, worker = '{ concurrency: 50 }') => ({
  'src/a.ts': `import { Pool } from 'pg'
import { Worker } from 'bullmq'
export const pool = new Pool(${options})
new Worker('x', work, ${worker})
`,
})

test.each([
  ['its default', POOL('{ host: "a" }'), ['review 3']],
  ['a size of its own', POOL('{ max: 50 }'), []],
  ['options from elsewhere', POOL('options'), []],
  ['options that are mixed in', POOL('{ ...options }'), []],
  ['less to do', POOL('{ host: "a" }', '{ concurrency: 10 }'), []],
  ['who knows how much to do', POOL('{ host: "a" }', '{ concurrency: n }'), []],
])('OS8: a pool with %s', (_name, texts, expected) => {
  expect(foundIn(poolDefaultSize, texts)).toEqual(expected)
})

const ENGINE = (workers: number, most: string, options = '') => ({
  'compose.yml': `services:
  a:
    build: ./a
    depends_on: [db]
    command: gunicorn --workers ${workers} app:app
  db:
    image: postgres:17
    ${most}
`,
  'a/Dockerfile': 'FROM python:3.12\nCOPY . /app\n',
  'a/app/db.py': `from sqlalchemy import create_engine\nengine = create_engine(url${options})\n`,
})

test.each([
  ['more than is given', ENGINE(8, 'command: postgres -c max_connections=100'), ['strong a/app/db.py:2']],
  ['less than is given', ENGINE(4, 'command: postgres -c max_connections=100'), []],
  ['nobody says how many are given', ENGINE(50, 'restart: always'), []],
  ['a size that is set', ENGINE(8, 'command: postgres -c max_connections=100', ', pool_size=5, max_overflow=0'), []],
  ['a size that is not known', ENGINE(8, 'command: postgres -c max_connections=100', ', pool_size=n'), []],
])('OS9: workers and their pools: %s', (_name, texts, expected) => {
  expect(foundIn(poolDefaultSize, texts)).toEqual(expected)
})
