// Code that runs in a browser, or as an extension of somebody's editor: a promise dropped there costs one person, not a process that others need.

import type { FileFacts } from '../../facts/facts.ts'

const LIBRARY =
  /^(react|react-dom|react-native|preact|vue|svelte|@angular\/.+|solid-js|next\/(navigation|router|link|image)|@remix-run\/react|jquery|mobx|zustand|redux|react-redux|@reduxjs\/toolkit|swr|obsidian|vscode|expo[\w/-]*)$/
const FOLDER = /(^|\/)(public|static|assets|frontend|webapp|client|hooks|components)\//

const KEPT = new WeakMap<FileFacts, boolean>()

export function isPage(facts: FileFacts): boolean {
  const kept = KEPT.get(facts)
  if (kept !== undefined) return kept
  const found =
    /\.[jt]sx$/.test(facts.file) ||
    (facts.language !== 'python' &&
      (FOLDER.test(facts.file) ||
        facts.imports.some(({ module }) => LIBRARY.test(module)) ||
        facts.calls.some(
          ({ callee }) => callee.root === 'global' && /^(document|window|localStorage)\./.test(callee.text),
        )))
  KEPT.set(facts, found)
  return found
}

const BY_HAND =
  /(^|\/)(scripts?|tools|bin|cli|commands|migrations|seeds?|seeders?|notebooks|benchmarks?|load-?tests?|dev|dev[-_]\w+)\/|(^|\/)(test|debug|check|demo|fix|investigate|migrate|seed|verify|diagnose|analyze|benchmark)[_-][\w-]*\.([cm]?[jt]s|py)$/

/** Started by people, who see what it does. */
export function isByHand({ file }: FileFacts): boolean {
  return BY_HAND.test(file)
}
