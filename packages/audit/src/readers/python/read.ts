// From the text of a Python file to its facts.
//
// The parser is our own and builds no tree: a tree of tree-sitter, read node by node through its binding, costs 22 µs for a line with the kinds and the children
// alone (44,000 lines in a CPU second, measured 2026-11-22 on 104,118 lines), and places and texts would be more calls still.
// Invariants:
//   PY1. Whatever the text, reading ends without throwing, in time linear in its size, and every place and index in the facts exists.
//   PY2. What is broken costs its statement: `brokenAt` names the first such line, and what stands around it is read.
//   PY3. Brackets, blocks and operators nested deeper than the limits are passed over, never a stack overflow.
//   PY4. A name means what it means in Python: a function's own all over it, a class's not in its methods, `self` the object.

import type { FileFacts } from '../../facts/facts.ts'
import { readPrimary } from './primary.ts'
import { Reader } from './reader.ts'
import { readStatements, readSuite } from './statements.ts'

/** Never throws: of a file that is broken somewhere, what could be made of it is read, and `brokenAt` says where. */
export function readPython(file: string, source: string): FileFacts {
  const reader = new Reader(source, { suite: readSuite, primary: readPrimary })
  const module = reader.open('module', 0)
  readStatements(reader, () => false)
  reader.close(module)
  reader.scopes.leave()
  return reader.finish(file)
}
