// Credentials in environment files that are committed: `.env` itself, and those that are named for production. What a .gitignore names was never read.
//   QR17. Names and values are judged as those of compose are; a form to fill in, what is to be changed, what browsers are given and files of tests are silent.

import type { Repository } from '../../repository/repository.ts'
import { seen } from '../configuration/projects.ts'
import type { Discovery } from '../rule.ts'
import { isCredential, isNoKey, isPlaceholder, isSecretName } from './credentials.ts'
import { isAside } from './places.ts'

const COMMITTED = /(?:^|\/)\.env(?:\.(?:prod|production|live|staging))?$/
const OF_PAGES = /^(?:NEXT_PUBLIC|VITE|REACT_APP|EXPO_PUBLIC|PUBLIC|NUXT_PUBLIC|GATSBY)_/
const TO_CHANGE = /change|replace|generate|<|>|\$\{|\bhere\b|^(?:secret|password|token|key)$/i
const PLACES_MAX = 12

export function* committedEnvironment({ configuration, files }: Repository): Iterable<Discovery> {
  for (const [file, values] of configuration.envFiles) {
    const role = files.role(file)
    if (!COMMITTED.test(file) || role === 'test' || role === 'example' || isAside(file)) continue
    const found = [...values].filter(
      ([name, { value }]) =>
        isSecretName(name) &&
        !OF_PAGES.test(name) &&
        isCredential(value) &&
        !isPlaceholder(value) &&
        !isNoKey(name, value) &&
        !TO_CHANGE.test(value),
    )
    if (found.length === 0) continue
    yield {
      tier: 'strong',
      cause: `credentials of ${file}`,
      symbol: file,
      symptom: 'What is started with this file runs with credentials that the repository shows.',
      rootCause: 'A credential is a literal of an environment file that is committed.',
      evidence: found.slice(0, PLACES_MAX).map(([name, { loc }]) => seen(loc, `${name} is a literal.`)),
    }
  }
}
