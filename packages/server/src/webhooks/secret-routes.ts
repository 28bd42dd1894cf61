// Secrets at the edge: shown once where they are made, and after that only what may be known of them.

import {
  dataOf,
  idSchema,
  listOf,
  rotatedSecretSchema,
  rotateSecretSchema,
  secretSchema,
  staleSecretSchema,
} from '@ripstop/protocol'
import { z } from 'zod'
import { type Route, route } from '#platform/http'
import { askingOf, replayHeader } from './handling.ts'
import { findStale, readSecrets, revealSecret, revokeSecret, rotateSecret } from './secrets.ts'
import type { Webhooks } from './start.ts'
import { toSecretWire, toStaleWire } from './wire.ts'

const endpointParams = z.strictObject({ endpoint_id: idSchema })
const secretParams = z.strictObject({ endpoint_id: idSchema, secret_id: idSchema })

export function createSecretRoutes(webhooks: Webhooks): readonly Route[] {
  return [
    createRotateRoute(webhooks),
    createListRoute(webhooks),
    createRevokeRoute(webhooks),
    createRevealRoute(webhooks),
    createStaleRoute(webhooks),
  ]
}

function createRotateRoute(webhooks: Webhooks): Route {
  return route({
    method: 'POST',
    path: '/v1/endpoints/{endpoint_id}/secrets',
    summary: 'Rotate the secret: the new one is shown once, the present one signs beside it for the overlap',
    scopes: ['webhooks:write'],
    params: endpointParams,
    body: rotateSecretSchema,
    response: dataOf(rotatedSecretSchema),
    status: 201,
    handle: async (request) => {
      const { algorithm, secret, overlap_ms: overlapMs } = request.body
      const rotation = { algorithm, secret, overlapMs }
      const made = await rotateSecret(webhooks, request.ctx, askingOf(request), request.params.endpoint_id, rotation)
      return {
        body: { data: { secret_id: made.secretId, secret: made.secret ?? null } },
        headers: replayHeader(made.replayed),
      }
    },
  })
}

function createListRoute(webhooks: Webhooks): Route {
  return route({
    method: 'GET',
    path: '/v1/endpoints/{endpoint_id}/secrets',
    summary: 'List the secrets that sign, the present one first: never the secrets themselves, but public keys',
    scopes: ['webhooks:read'],
    params: endpointParams,
    response: listOf(secretSchema),
    handle: async ({ ctx, principal: { tenantId }, params }) => {
      const secrets = await readSecrets(webhooks, ctx, tenantId, params.endpoint_id)
      return { body: { data: secrets.map((secret) => toSecretWire(secret, webhooks.settings)), next_cursor: null } }
    },
  })
}

function createRevokeRoute(webhooks: Webhooks): Route {
  return route({
    method: 'DELETE',
    path: '/v1/endpoints/{endpoint_id}/secrets/{secret_id}',
    summary: 'Revoke an old secret at once, without waiting for its overlap to end',
    scopes: ['webhooks:write'],
    params: secretParams,
    response: dataOf(z.object({ secret_id: idSchema })),
    handle: async (request) => {
      const { endpoint_id: endpointId, secret_id: secretId } = request.params
      await revokeSecret(webhooks, request.ctx, askingOf(request), endpointId, secretId)
      return { body: { data: { secret_id: secretId } } }
    },
  })
}

function createRevealRoute(webhooks: Webhooks): Route {
  return route({
    method: 'POST',
    path: '/v1/endpoints/{endpoint_id}/secrets/{secret_id}/reveal',
    summary: 'Read a secret that was made by itself; it is shown to the first who asks',
    scopes: ['webhooks:write'],
    params: secretParams,
    response: dataOf(rotatedSecretSchema),
    handle: async ({ ctx, principal: { tenantId }, params }) => {
      const { endpoint_id: endpointId, secret_id: secretId } = params
      const secret = await revealSecret(webhooks, ctx, tenantId, endpointId, secretId)
      return { body: { data: { secret_id: secretId, secret } } }
    },
  })
}

function createStaleRoute(webhooks: Webhooks): Route {
  return route({
    method: 'GET',
    path: '/v1/webhooks/secrets/stale',
    summary: 'Secrets that are too old or soon will be, the oldest first, at most 1,000',
    scopes: ['webhooks:read'],
    response: listOf(staleSecretSchema),
    handle: async ({ ctx, principal: { tenantId } }) => {
      const { settings, env } = webhooks
      const secrets = await findStale(webhooks, ctx, tenantId, settings)
      return {
        body: { data: secrets.map((secret) => toStaleWire(secret, settings, env.clock.wallMs())), next_cursor: null },
      }
    },
  })
}
