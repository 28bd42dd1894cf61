// Is a source nested so deep that the native parser would run out of stack? It does not throw then: the process dies (oxc-parser 0.159, Node 24: from
// between 4,000 and 9,000 levels of brackets, `a?b:`, `a=`, `=>`; tags and `!` from 9,000; measured 2026-11-22). So such a file is never handed to it.
//   WA12. Brackets deeper than DEPTH_MAX, CHAIN_MAX operators in a row without an end of statement, or that many tags opened and none closed, are too deep. The
//         count knows no strings: it may refuse a file that nobody wrote by hand. Against somebody who knows it, only a process of its own would help.

const DEPTH_MAX = 1_000
const CHAIN_MAX = 3_000
const OPENING = 1
const CLOSING = 2
const CHAINING = 4
const ENDING = 8
/** What a character does, by its code; anything above is nothing. */
const KINDS = new Uint8Array(128)
for (const [chars, kind] of [
  ['([{', OPENING],
  [')]}', CLOSING],
  ['?=!~:+-*', CHAINING],
  [';,}', ENDING],
] as const)
  for (const char of chars) KINDS[char.charCodeAt(0)] = (KINDS[char.charCodeAt(0)] ?? 0) | kind
const NEWLINE = 10
const WORDS = 'typeof|void|new|while|for|await|yield|delete|do|keyof|readonly|unique|infer|extends|class'
/** A level each, without brackets: `else if` after `else if`, `typeof typeof`. */
const CHAINING_WORDS = new RegExp(
  `\\b(else|${WORDS})\\b(?=\\s*(if|${WORDS})\\b|\\s*\\([^()]{0,20}\\)\\s*(while|for|do)\\b)`,
  'g',
)
/** From one to the next without a closing tag or an end between them. */
const TAGS_ENDING = /<\/|\/>|[;(]/

export function isTooDeep(source: string): boolean {
  if (isBracketedOrChained(source)) return true
  // Every level takes two characters at least: most files are too short to be looked at again.
  if (source.length < CHAIN_MAX * 2) return false
  return (source.match(CHAINING_WORDS) ?? []).length > CHAIN_MAX || isTagged(source)
}

/** A line that ends in an operator, or is followed by one, goes on. */
function isBracketedOrChained(source: string): boolean {
  let depth = 0
  let chain = 0
  let isLastChaining = false
  let isBroken = false
  for (let at = 0; at < source.length; at++) {
    const char = source.charCodeAt(at)
    if (char <= 32) {
      if (char === NEWLINE) isBroken = true
      continue
    }
    const kind = char < 128 ? (KINDS[char] as number) : 0
    if ((kind & OPENING) !== 0) depth++
    else if ((kind & CLOSING) !== 0 && depth > 0) depth--
    const isChaining = (kind & CHAINING) !== 0
    if ((kind & ENDING) !== 0 || (isBroken && !isChaining && !isLastChaining)) chain = 0
    if (isChaining) chain++
    if (depth > DEPTH_MAX || chain > CHAIN_MAX) return true
    isBroken = false
    isLastChaining = isChaining
  }
  return false
}

function isTagged(source: string): boolean {
  return source
    .split(TAGS_ENDING)
    .some((part) => part.length > CHAIN_MAX && (part.match(/<[A-Za-z>]/g) ?? []).length > CHAIN_MAX)
}
