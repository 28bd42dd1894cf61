import { expect, test } from 'vitest'
import { foundIn } from '../found.fixture.ts'
import { poolNoTimeout } from './pool-no-timeout.ts'

test.each([
  ['{"check_same_thread": False} if is_local else {}', ['strong 5']],
  ['{"check_same_thread": False} if is_local else {"connect_timeout": 3}', []],
  ['{"check_same_thread": False}', []],
])('QR1: connect_args of %j has %j', (given, expected) => {
  const text = `from sqlalchemy import create_engine\n\ndef make(url, is_local):\n    given = ${given}\n    return create_engine(url, connect_args=given)\n`
  expect(foundIn(poolNoTimeout, { 'src/a.py': text })).toEqual(expected)
})
