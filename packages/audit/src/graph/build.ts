// The graph of an audited system, in two steps. What configuration declares is there before rules run; calls in code, and what rules found, are joined to it after.

import type { Component, SystemGraph, SystemLink } from '../model/graph.ts'
import type { Configuration } from '../repository/configuration.ts'
import type { FileIndex } from '../repository/repository.ts'
import { addressesOf } from './addresses.ts'
import { addLink, declaredLinks } from './links.ts'
import type { Part } from './part.ts'
import { partsOf } from './parts.ts'

/** What is declared: components from compose, Kubernetes and folders, links from start order and addresses. */
export function buildGraph(configuration: Configuration, files: FileIndex): SystemGraph {
  const parts = partsOf(configuration, files)
  const links = new Map<string, SystemLink>()
  const { drafts, outside } = declaredLinks(parts, addressesOf(parts, new Map()))
  for (const draft of drafts) addLink(links, draft)
  return { components: joinComponents(parts, outside), links: [...links.values()] }
}

/** Parts first, then what is outside of them, each once. */
export function joinComponents(
  parts: readonly Part[],
  ...outside: readonly (readonly Component[])[]
): readonly Component[] {
  const all = new Map<string, Component>()
  for (const component of [...parts.map((part) => part.component), ...outside.flat()])
    if (!all.has(component.name)) all.set(component.name, component)
  return [...all.values()]
}
