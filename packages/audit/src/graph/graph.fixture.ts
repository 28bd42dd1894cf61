// For tests of graphs: components and links of which only what a test is about is said.

import type { Component, SystemLink } from '../model/graph.ts'

export function component(name: string, more: Partial<Component> = {}): Component {
  return {
    name,
    kind: 'service',
    sources: [],
    image: undefined,
    replicas: 1,
    isPublished: false,
    owner: undefined,
    guarantees: [],
    evidence: [],
    ...more,
  }
}

export function link(from: string, to: string, more: Partial<SystemLink> = {}): SystemLink {
  return {
    name: `${from} -> ${to}`,
    from,
    to,
    kind: 'http',
    need: 'hard',
    needBecause: '',
    sites: [],
    guarantees: [],
    evidence: [],
    ...more,
  }
}
