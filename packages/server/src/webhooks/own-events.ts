// Events of the mesh about webhooks. They go through the outbox, in the statement that does what they tell of, and from there the way of
// every other event; an endpoint is not told about itself (WK3).

export const OWN_SOURCE = '/ripstop/webhooks'
/** Goes to the endpoint that it is about, and to no other. */
export const TEST_TYPE = 'ripstop.test'

export type OwnType =
  | 'ripstop.endpoint.paused'
  | 'ripstop.endpoint.gone'
  | 'ripstop.endpoint.deleted'
  | 'ripstop.endpoint.resumed'
  | 'ripstop.webhook.secret_aging'
  | 'ripstop.webhook.secret_rotated'

/** As a publisher would write it. */
export function ownEvent(
  type: OwnType | typeof TEST_TYPE,
  endpointId: string,
  data: Readonly<Record<string, unknown>>,
): Readonly<Record<string, unknown>> {
  return { type, source: OWN_SOURCE, subject: endpointId, data: { endpoint_id: endpointId, ...data } }
}

type About = { readonly type: string; readonly source: string; readonly subject?: string | undefined }

/** A test goes to its endpoint alone, and an endpoint is not told about itself; of every other event it is undefined. */
export function meantFor(
  { type, source, subject }: About,
  endpointId: string,
): 'for it alone' | 'not for it' | undefined {
  if (source !== OWN_SOURCE || subject === undefined) return undefined
  if (type === TEST_TYPE) return subject === endpointId ? 'for it alone' : 'not for it'
  return subject === endpointId ? 'not for it' : undefined
}
