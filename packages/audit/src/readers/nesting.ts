// Is a source nested so deep that the native parser would run out of stack? It does not throw then: the process dies (oxc-parser 0.159, Node 24: from
// between 4,000 and 9,000 levels of brackets, `a?b:`, `a=`, `=>`; tags and `!` from 9,000; measured 2026-11-22). So such a file is never handed to it.
//   WA12. Brackets deeper than DEPTH_MAX, CHAIN_MAX operators in a row without an end of statement, or that many tags opened and none closed, are too deep. The
//         count knows no strings: it may refuse a file that nobody wrote by hand. Against somebody who knows it, only a process of its own would help.

const DEPTH_MAX = 1_000
const CHAIN_MAX = 3_000
const codes = (chars: string): ReadonlySet<number> => new Set([...chars].map((char) => char.charCodeAt(0)))
const OPENING = codes('([{')
const CLOSING = codes(')]}')
const CHAINING = codes('?=!~:+-*')
const ENDING = codes(';,}')
const NEWLINE = 10
/** A level each, without brackets: `else if` after `else if`, `typeof typeof`. */
const CHAINING_WORDS =
  /\b(else|typeof|void|new|while|for)\b(?=\s*(if|typeof|void|new|while|for)\b|\s*\([^()]{0,20}\)\s*(while|for)\b)/g
/** From one to the next without a closing tag or an end between them. */
const TAGS_ENDING = /<\/|\/>|[;(]/

export function isTooDeep(source: string): boolean {
  return (
    isBracketed(source) ||
    isChained(source) ||
    (source.match(CHAINING_WORDS) ?? []).length > CHAIN_MAX ||
    isTagged(source)
  )
}

function isBracketed(source: string): boolean {
  let depth = 0
  for (let at = 0; at < source.length; at++) {
    const char = source.charCodeAt(at)
    if (OPENING.has(char)) depth++
    else if (CLOSING.has(char)) depth = Math.max(0, depth - 1)
    if (depth > DEPTH_MAX) return true
  }
  return false
}

/** A line that ends in an operator, or is followed by one, goes on. */
function isChained(source: string): boolean {
  let chain = 0
  let last = 0
  let isBroken = false
  for (let at = 0; at < source.length; at++) {
    const char = source.charCodeAt(at)
    if (char === NEWLINE) isBroken = true
    if (char <= 32) continue
    const isChaining = CHAINING.has(char)
    if (ENDING.has(char) || (isBroken && !isChaining && !CHAINING.has(last))) chain = 0
    if (isChaining && ++chain > CHAIN_MAX) return true
    isBroken = false
    last = char
  }
  return false
}

function isTagged(source: string): boolean {
  return source
    .split(TAGS_ENDING)
    .some((part) => part.length > CHAIN_MAX && (part.match(/<[A-Za-z>]/g) ?? []).length > CHAIN_MAX)
}
