// For tests: a repository made of texts, read as one on disk would be.

import { programOf } from '../program/index.ts'
import { readFacts } from '../readers/read-facts.ts'
import { folderOf } from './paths.ts'
import { readConfiguration } from './read-configuration.ts'
import type { FileIndex, Repository } from './repository.ts'
import { roleOfPath } from './roles.ts'

export function filesOf(texts: Readonly<Record<string, string>>): FileIndex {
  const paths = Object.keys(texts).sort()
  const folders = new Set<string>([''])
  for (const path of paths)
    for (let folder = folderOf(path); folder !== ''; folder = folderOf(folder)) folders.add(folder)
  return {
    has: (path) => Object.hasOwn(texts, path) || folders.has(path),
    read: (path) => (Object.hasOwn(texts, path) ? texts[path] : undefined),
    role: (path) => (Object.hasOwn(texts, path) ? roleOfPath(path) : undefined),
    list: (role) => paths.filter((path) => role === undefined || roleOfPath(path) === role),
  }
}

export function repositoryOf(texts: Readonly<Record<string, string>>): Repository {
  const files = filesOf(texts)
  const { facts, unread } = readFacts(files)
  const configuration = readConfiguration(files)
  programOf(facts, configuration.moduleNames)
  return {
    root: '/',
    files,
    facts,
    configuration,
    graph: { components: [], links: [] },
    unread,
  }
}
