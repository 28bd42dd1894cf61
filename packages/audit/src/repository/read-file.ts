// The bytes and the text of one file of an audited repository. It was listed a while ago and may have become something else since.
//   WA13. Only a regular file is read, never through a link that took its place, and never more than `bytesMax`.

import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs'

/** Undefined: it is not there, may not be read, is too large, or no regular file. */
export function readBytes(path: string, bytesMax: number): Buffer | undefined {
  let descriptor: number | undefined
  try {
    // Without waiting: a pipe without a writer would never open. Windows has neither.
    descriptor = openSync(path, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0))
    const stat = fstatSync(descriptor)
    if (!stat.isFile() || stat.size > bytesMax) return undefined
    return stat.size === 0 ? Buffer.alloc(0) : readFileSync(descriptor)
  } catch {
    return undefined // gone or forbidden since it was listed
  } finally {
    if (descriptor !== undefined) closeSync(descriptor)
  }
}

/** Undefined: it is no text. */
export function toText(bytes: Buffer): string | undefined {
  if (bytes.includes(0)) return undefined
  const text = bytes.toString('utf8')
  return text.startsWith('\uFEFF') ? text.slice(1) : text
}
