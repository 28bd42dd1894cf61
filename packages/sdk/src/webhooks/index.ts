export type { Inbox } from './inbox.ts'
export { createMemoryInbox, type MemoryInbox } from './memory-inbox.ts'
export {
  createInboxDdl,
  createPostgresInbox,
  type PostgresClient,
  type PostgresInbox,
  type PostgresInboxOptions,
} from './postgres-inbox.ts'
export { type Receipt, verifyReceipt } from './receipt.ts'
export {
  type Receive,
  type ReceiveAnswer,
  type ReceivedRequest,
  type ReceiveOnceOptions,
  receiveOnce,
} from './receive-once.ts'
export { toExpress, toFastify, toNodeHandler } from './servers.ts'
export { type CloudEvent, type VerifyOptions, verifyWebhook, type Webhook, type WebhookHeaders } from './verify.ts'
export { isWebhookError, WebhookError, type WebhookErrorCode } from './webhook-error.ts'
