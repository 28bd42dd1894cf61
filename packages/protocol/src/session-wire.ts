// The messages of `ripstop.v1` as schemas, for the documents and for tests. What runs is sessions/wire.ts, which says what they mean; a test holds
// the two together.

import { z } from 'zod'

const count = z.int().min(0)
const placeFields = {
  e: count.describe('Epoch.'),
  v: count.describe('Version.'),
}
const level = z.enum(['accepted', 'durable']).describe('What it rests on.')
const retryMs = z.number().optional().describe('When it may be tried again, ms from now; absent: it may not.')

const commandSchema = z
  .discriminatedUnion('kind', [
    z.object({ kind: z.literal('start'), first: count.optional().describe('Whose turn it is, by place.') }),
    z.object({ kind: z.literal('switch'), next: count.optional().describe('Whose turn it becomes, by place.') }),
    z.object({ kind: z.literal('pause') }),
    z.object({ kind: z.literal('resume') }),
    z.object({ kind: z.literal('complete') }),
    z.object({ kind: z.literal('cancel') }),
    z.object({
      kind: z.literal('adjust'),
      place: count,
      byMs: z.int().min(-86_400_000).max(86_400_000),
      reason: z.string().max(500).regex(/\S/),
    }),
  ])
  .meta({ id: 'SessionSocketCommand' })

export const clientMessageSchema = z
  .discriminatedUnion('t', [
    z.object({ t: z.literal('sub'), since: z.object(placeFields).optional().describe('What the client knows.') }),
    z.object({
      t: z.literal('cmd'),
      op: z
        .string()
        .regex(/^[\w.:-]{1,64}$/)
        .describe('Done once, however often it is sent.'),
      c: commandSchema,
      e: count.optional().describe('Only with `v`.'),
      v: count.optional().describe('Only if the session still stands there.'),
    }),
    z.object({
      t: z.literal('p'),
      i: count.describe('Comes back.'),
      c0: z.number().describe('Comes back.'),
      u: z.number().min(0).optional().catch(undefined).describe('Uncertainty of the client, ms.'),
    }),
  ])
  .meta({ id: 'SessionSocketClientMessage' })

const json = z.record(z.string(), z.unknown())

export const serverMessageSchema = z
  .discriminatedUnion('t', [
    z.object({
      t: z.literal('hi'),
      ...placeFields,
      r: z.enum(['owner', 'participant', 'spectator']),
      p: count.optional().describe('Place of the participant.'),
      x: count.optional().describe('End of the token, server time.'),
      s: count.describe('Server time.'),
    }),
    z.object({
      t: z.literal('snap'),
      ...placeFields,
      st: json.describe('SessionState of @ripstop/protocol/sessions.'),
      md: json.describe('Metadata.'),
      at: count.describe('When it was created.'),
      lvl: level,
    }),
    z.object({
      t: z.literal('ev'),
      e: count,
      pe: count.describe('Epoch of what it continues.'),
      pv: count.describe('Version of what it continues.'),
      d: json.describe('SessionEvent of @ripstop/protocol/sessions; its version is that of the event.'),
      o: z.string().optional().describe('The operation that asked for it.'),
    }),
    z.object({ t: z.literal('ack'), op: z.string(), ...placeFields, lvl: level, rep: z.literal(true).optional() }),
    z.object({ t: z.literal('nack'), op: z.string(), code: z.string(), msg: z.string(), retryMs }),
    z.object({
      t: z.literal('p'),
      i: count,
      c0: z.number(),
      s1: z.number().describe('Server time when the probe came in.'),
      s2: z.number().describe('Server time when this went out.'),
    }),
    z.object({
      t: z.literal('pres'),
      p: z.array(count).describe('Places of participants who are there.'),
      n: count.describe('How many others are.'),
    }),
    z.object({ t: z.literal('resync'), e: count, why: z.enum(['branch', 'behind']) }),
    z.object({ t: z.literal('bye'), code: z.string(), retryMs }),
    z.object({ t: z.literal('err'), code: z.string(), msg: z.string() }),
  ])
  .meta({ id: 'SessionSocketServerMessage' })
