import './codes.ts'

export {
  type ApiKeyWire,
  type AuditEntryWire,
  apiKeySchema,
  auditEntrySchema,
  CONTROL_SCOPES,
  type ControlScope,
  type CreatedApiKeyWire,
  createApiKeySchema,
  createdApiKeySchema,
  createTenantSchema,
  type TenantWire,
  tenantSchema,
} from './access.ts'
export {
  dataOf,
  type ErrorEnvelope,
  errorEnvelopeSchema,
  type FieldProblem,
  idSchema,
  listOf,
  PAGE_LIMIT_MAX,
  type PageQuery,
  pageQuerySchema,
  timeSchema,
} from './envelope.ts'
export {
  type MigrationStatusWire,
  migrationStatusSchema,
  type ReadinessWire,
  readinessSchema,
  statusSchema,
} from './health.ts'
export {
  guaranteesSchema,
  LINK_STATES,
  type MeshEventWire,
  type MeshGraphWire,
  type MeshLinkWire,
  meshEventSchema,
  meshGraphSchema,
  meshLinkSchema,
} from './mesh.ts'
