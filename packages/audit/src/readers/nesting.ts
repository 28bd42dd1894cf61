// Is a source nested so deep that the native parser would run out of stack? It does not throw then: the process dies (oxc-parser 0.159, Node 24: from
// between 4,000 and 9,000 levels of brackets, `a?b:`, `a=`, `=>`; measured 2026-11-22). So such a file is never handed to it.
//   WA12. Brackets deeper than DEPTH_MAX, or that many operators in a row on one line without an end of statement, are too deep. The count knows no strings:
//         it may refuse a file that nobody wrote by hand, never pass one that is too deep by brackets.

const DEPTH_MAX = 1_000
const OPENING = new Set(['(', '[', '{'].map((char) => char.charCodeAt(0)))
const CLOSING = new Set([')', ']', '}'].map((char) => char.charCodeAt(0)))
const CHAINING = new Set(['?', '=', '!', '~', ':', '+', '-', '<', '*'].map((char) => char.charCodeAt(0)))
const ENDING = new Set([';', ',', '}', '\n'].map((char) => char.charCodeAt(0)))
const WORDS_MAX = 3_000

export function isTooDeep(source: string): boolean {
  let depth = 0
  let chain = 0
  for (let at = 0; at < source.length; at++) {
    const char = source.charCodeAt(at)
    if (OPENING.has(char)) depth++
    else if (CLOSING.has(char)) depth = Math.max(0, depth - 1)
    if (CHAINING.has(char)) chain++
    else if (ENDING.has(char)) chain = 0
    if (depth > DEPTH_MAX || chain > DEPTH_MAX) return true
  }
  // `else if` after `else if`, `typeof typeof`: no brackets, and a level each.
  return (
    (
      source.match(
        /\b(else|typeof|void|new|while|for)\b(?=\s*(if|typeof|void|new|while|for)\b|\s*\([^()]{0,20}\)\s*(while|for)\b)/g,
      ) ?? []
    ).length > WORDS_MAX
  )
}
