// Whose a file is: that of the component with the longest source that holds it; of equals, the first. Places in a deployment's file belong to the component that
// is described there.
//   GR3. A file is one component's at most, and none's where nothing says whose it is.

import type { Loc } from '../model/evidence.ts'
import type { Component } from '../model/graph.ts'

export interface Membership {
  ofFile(path: string): string | undefined
  ofPlace(loc: Loc): string | undefined
}

export function membershipOf(components: readonly Component[]): Membership {
  const owners = new Map<string, string>()
  for (const { name, sources } of components)
    for (const source of sources) if (!owners.has(source)) owners.set(source, name)
  const described = describedIn(components)
  const ofFile = (path: string): string | undefined => {
    for (let at = path; ; at = at.slice(0, Math.max(0, at.lastIndexOf('/')))) {
      const owner = owners.get(at)
      if (owner !== undefined || at === '') return owner
    }
  }
  return {
    ofFile,
    ofPlace: ({ file, line }) => {
      const inside = described.get(file)?.findLast((one) => one.line <= line)
      return inside?.name ?? ofFile(file)
    },
  }
}

/** By file, in the order of lines. A folder's manifest describes all of it, and so no part of itself. */
function describedIn(components: readonly Component[]): ReadonlyMap<string, readonly { name: string; line: number }[]> {
  const all = new Map<string, { name: string; line: number }[]>()
  for (const { name, evidence } of components)
    for (const { loc } of evidence) {
      if (loc === undefined || !/\.ya?ml$/i.test(loc.file)) continue
      const known = all.get(loc.file) ?? []
      all.set(loc.file, known)
      known.push({ name, line: loc.line })
    }
  for (const list of all.values()) list.sort((a, b) => a.line - b.line)
  return all
}
