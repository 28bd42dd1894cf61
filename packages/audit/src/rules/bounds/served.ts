// Source that serves nobody: what people start by hand for a while, stand-ins for other systems, and pages, whose memory goes with them.

import type { IndexedFile } from '../../program/index.ts'

const BY_HAND =
  /(?:^|\/)(?:scripts|tools|bin|dev[\w-]*|bench\w*|seeds?|migrations?)\/|(?:^|\/)(?:validate|check|verify|debug|demo|try)_[\w-]*\.py$|mock|stub|fake/i

/** Runs in a browser, for as long as its page. */
const IN_BROWSER =
  /^(?:react|react-dom|vue|svelte|solid-js|preact|@angular\/core|zustand|jotai|next\/(?:navigation|router|link))(?:\/|$)/

export function isServed(file: string): boolean {
  return !BY_HAND.test(file)
}

export function isOfBrowser({ facts: { imports, calls } }: IndexedFile): boolean {
  return (
    imports.some(({ module }) => IN_BROWSER.test(module)) ||
    calls.some(({ callee }) => callee.root === 'global' && /^(?:document|window|localStorage)\.|^\$$/.test(callee.text))
  )
}
