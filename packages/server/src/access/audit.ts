// The audit log: who did what to which resource, with which outcome. A line is a part of the statement that has the effect,
// so that there is never one without the other.
// Invariants:
//   AU1. An effect and its line are written together or not at all.
//   AU2. Lines are never changed; they are deleted only by retention, and never before they are a day old.

import type { Part } from '#platform/postgres'

export interface AuditLine {
  readonly tenantId: string
  readonly actor: string
  /** `<noun>.<verb>`: `key.create`. */
  readonly action: string
  /** `<noun>:<id>`. */
  readonly resource: string
  readonly outcome: 'done' | 'refused'
  readonly traceId: string | undefined
  /** No secrets, no bodies. */
  readonly details?: Readonly<Record<string, unknown>>
}

/** The line, written once for each row of the part named `of`; `from` nothing: once. */
export function auditPart(line: AuditLine, of?: string): Part {
  const { tenantId, actor, action, resource, outcome, traceId, details = {} } = line
  const text = `
    insert into ripstop.audit_log (tenant_id, actor, action, resource, outcome, trace_id, details)
    select $1::uuid, $2::text, $3::text, $4::text, $5::text, $6::text, $7::jsonb ${of === undefined ? '' : `from ${of}`}
    returning 1`
  const values = [tenantId, actor, action, resource, outcome, traceId ?? null, JSON.stringify(details)]
  return { name: 'audited', text, values }
}

/** Lines for each row of the part `of` (line, found): `line` says which, by its place; `found` (jsonb) is added to its details. */
export function auditLinesPart(lines: readonly AuditLine[], of: string): Part {
  const text = `
    insert into ripstop.audit_log (tenant_id, actor, action, resource, outcome, trace_id, details)
    select row.tenant_id, row.actor, row.action, row.resource, row.outcome, row.trace_id, row.details || ${of}.found
    from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::jsonb[])
      with ordinality as row (tenant_id, actor, action, resource, outcome, trace_id, details, place)
    join ${of} on ${of}.line = row.place - 1
    returning 1`
  const values = [
    lines.map(({ tenantId }) => tenantId),
    lines.map(({ actor }) => actor),
    lines.map(({ action }) => action),
    lines.map(({ resource }) => resource),
    lines.map(({ outcome }) => outcome),
    lines.map(({ traceId }) => traceId ?? null),
    lines.map(({ details = {} }) => JSON.stringify(details)),
  ]
  return { name: 'audited', text, values }
}
