// An audit of a running mesh: its graph in, a report out, in the same shape as that of a repository.

import type { Clock } from '@ripstop/kernel'
import { findAll } from '../findings/findings.ts'
import type { StartOrder } from '../graph/start-order.ts'
import { buildReport } from '../reports/build.ts'
import type { Report } from '../reports/report.ts'
import { createFileIndex } from '../repository/file-index.ts'
import { readConfiguration } from '../repository/read-configuration.ts'
import type { Repository } from '../repository/repository.ts'
import type { Walked } from '../repository/walk.ts'
import type { Rule } from '../rules/rule.ts'
import { graphOfMesh } from './graph.ts'
import { MESH_RULES } from './rules.ts'
import { type MeshGraph, readMeshGraph } from './wire.ts'

const NO_START: StartOrder = { waves: [], circle: [], weak: [], unordered: [] }

export interface AuditMeshOptions {
  readonly clock: Pick<Clock, 'wallMs'>
  readonly version: string
  readonly key: string | undefined
}

/** Throws AUDIT_MESH_UNREADABLE, and AUDIT_USAGE for an address that is none. */
export async function auditMesh(address: string, { clock, version, key }: AuditMeshOptions): Promise<Report> {
  const mesh = await readMeshGraph(address, key)
  return reportOfMesh(mesh, new URL(address).host, version, clock.wallMs())
}

export function reportOfMesh(mesh: MeshGraph, name: string, version: string, wallMs: number): Report {
  // There are no files: what a mesh is said to be is what it says itself.
  const walked: Walked = { root: `/${name}`, files: [], folders: new Set(), unread: [] }
  const files = createFileIndex(walked)
  const graph = graphOfMesh(mesh)
  const configuration = readConfiguration(files)
  const repository: Repository = { root: walked.root, files, facts: new Map(), configuration, graph, unread: [] }
  const rules = MESH_RULES.map(({ meta, run }): Rule => ({ meta, run: () => run(mesh) }))
  const found = findAll(rules, repository, wallMs)
  const scanned = { ...found, brokenParts: [], repository, rules, wallMs, reads: new Map() }
  return buildReport(scanned, version, { graph, findings: found.findings, start: NO_START })
}
