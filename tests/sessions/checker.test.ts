import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { findFaults } from './checker.ts'

interface Told {
  readonly kind?: string
  readonly atMs?: number
  readonly operationId?: string
}

function logOf(lines: readonly Told[]) {
  let head = '0'.repeat(64)
  return lines.map(({ kind = 'switched', atMs, operationId }, index) => {
    const version = index + 1
    const text = JSON.stringify({ operationId, event: { kind, version, atMs: atMs ?? version } })
    head = createHash('sha256').update(`${head}\n${text}`).digest('hex')
    return { session_id: 's', epoch: 1, version, hash: head, text }
  })
}

describe('the checker of sessions goes red', () => {
  const good = logOf([
    { operationId: 'a' },
    { operationId: 'b' },
    { kind: 'expired', operationId: 'c' },
    { operationId: 'c' },
  ])

  test('but not for a log that is whole, with a deadline in the commit of a command', () => {
    expect(findFaults('s', good)).toEqual([])
  })

  test('for an entry that is missing, changed, or of another chain', () => {
    expect(findFaults('s', good.toSpliced(1, 1))).toEqual(['s: a gap before version 3'])
    const changed = good.with(1, {
      ...(good[1] as (typeof good)[number]),
      text: (good[2] as (typeof good)[number]).text,
    })
    expect(findFaults('s', changed)).toContain('s: the chain breaks at 1.2')
  })

  test('for time that goes backwards and for an operation that was done twice', () => {
    expect(findFaults('s', logOf([{ atMs: 5 }, { atMs: 4 }]))).toEqual(['s: time goes backwards at 2'])
    expect(findFaults('s', logOf([{ operationId: 'a' }, { operationId: 'a' }]))).toEqual(['s: done twice: 1: a'])
  })
})
