// The operations of a session, as its row keeps them: of each the first 8 bytes of the SHA-256 of its id, and 4 of the version of the last
// entry that it made. 64 of them are 768 bytes, whatever ids look like; as text they would be most of the row.

import { hash } from 'node:crypto'
import { OPERATIONS_KEPT } from './store.ts'

const MARK_BYTES = 8
const BYTES = MARK_BYTES + 4

/** What is looked for in the row. */
export function markOf(operationId: string): Buffer {
  return hash('sha256', operationId, 'buffer').subarray(0, MARK_BYTES)
}

export function encodeOperation(operationId: string, version: number): Buffer {
  const encoded = Buffer.alloc(BYTES)
  markOf(operationId).copy(encoded)
  encoded.writeUInt32BE(version, MARK_BYTES)
  return encoded
}

export function findVersion(operations: Buffer, operationId: string): number | undefined {
  const mark = markOf(operationId)
  for (let at = 0; at < operations.length; at += BYTES) {
    if (mark.compare(operations, at, at + MARK_BYTES) === 0) return operations.readUInt32BE(at + MARK_BYTES)
  }
  return undefined
}

/** Oldest first, each by its mark. */
export function listOperations(operations: Buffer): { readonly mark: Buffer; readonly version: number }[] {
  return Array.from({ length: Math.floor(operations.length / BYTES) }, (_, place) => {
    const at = place * BYTES
    return { mark: operations.subarray(at, at + MARK_BYTES), version: operations.readUInt32BE(at + MARK_BYTES) }
  })
}

/** With newer ones at its end, the oldest left out. */
export function addOperations(
  operations: Buffer,
  added: readonly { readonly id: string; readonly version: number }[],
): Buffer {
  const all = Buffer.concat([operations, ...added.map(({ id, version }) => encodeOperation(id, version))])
  return all.subarray(Math.max(0, all.length - OPERATIONS_KEPT * BYTES))
}

/** SQL: the same of a row's column and a parameter. */
export const ADDED = (column: string, encoded: string): string =>
  `substring(${column} || ${encoded} from greatest(1, length(${column}) - ${(OPERATIONS_KEPT - 1) * BYTES} + 1))`
