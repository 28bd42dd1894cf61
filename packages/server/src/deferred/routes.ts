// What became of a request that is answered later. Whoever has a key of the tenant and the id may read it.

import { type Ctx, type Link, RipstopError } from '@ripstop/kernel'
import type { PostgresPool } from '@ripstop/kernel/postgres'
import { type DeferredRequestWire, dataOf, deferredRequestSchema, idSchema } from '@ripstop/protocol'
import { z } from 'zod'
import { type Route, route } from '#platform/http'
import type { Kept } from './deferral.ts'
import { findRequest, type RequestView } from './store.ts'

export function createDeferredRoutes({ link }: { readonly link: Link<PostgresPool> }): readonly Route[] {
  return [
    route({
      method: 'GET',
      path: '/v1/deferred/{request_id}',
      summary: 'Read what became of a request that was sent with Prefer: respond-async',
      scopes: [],
      params: z.strictObject({ request_id: idSchema }),
      response: dataOf(deferredRequestSchema),
      handle: async ({ ctx, principal, params }) => ({
        body: { data: await read(link, ctx, principal.tenantId, params.request_id) },
      }),
    }),
  ]
}

async function read(link: Link<PostgresPool>, ctx: Ctx, tenantId: string, requestId: string) {
  const found = await findRequest(link, ctx, tenantId, requestId)
  if (found === undefined) throw new RipstopError('NOT_FOUND', 'there is no such request, or it is too old')
  return toWire(found)
}

function toWire(request: RequestView): DeferredRequestWire {
  const { requestId, state, upstream, method, doneWallMs, code, attempts, response } = request
  return {
    id: requestId,
    state,
    upstream,
    method,
    created_at: new Date(Number.parseInt(requestId.slice(0, 8) + requestId.slice(9, 13), 16)).toISOString(),
    done_at: doneWallMs === undefined ? null : new Date(doneWallMs).toISOString(),
    code: code ?? null,
    attempts: [...attempts],
    response: response === undefined ? null : toResponseWire(response),
  }
}

const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function toResponseWire({ status, headers, body, isCut }: Kept): NonNullable<DeferredRequestWire['response']> {
  const head = { status, headers, is_cut: isCut }
  try {
    return { ...head, body: UTF8.decode(body), body_encoding: 'utf8' }
  } catch {
    return { ...head, body: body.toString('base64'), body_encoding: 'base64' } // no text, or cut in a character
  }
}
