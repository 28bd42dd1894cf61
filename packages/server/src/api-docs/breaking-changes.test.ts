import { dataOf } from '@ripstop/protocol'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { createOpenApi, type Route, route } from '#platform/http'
import { findBreakingChanges } from './breaking-changes.ts'

interface Parts {
  readonly body?: z.ZodType
  readonly query?: z.ZodType
  readonly response?: z.ZodType
  readonly path?: string
  readonly scopes?: Route['scopes']
  readonly status?: number
}

function documentOf({
  body,
  query,
  response = z.unknown(),
  path = '/v1/things',
  scopes = 'public',
  status = 200,
}: Parts) {
  const handle = () => ({ body: { data: undefined } })
  const one = route({ method: 'POST', path, summary: 'Do', scopes, response: dataOf(response), status, handle })
  return createOpenApi([{ ...one, body, query }], '1')
}

const changes = (before: Parts, after: Parts): string[] => findBreakingChanges(documentOf(before), documentOf(after))
const thing = z.strictObject({
  name: z.string(),
  size: z.int().max(10).optional(),
  kind: z.enum(['a', 'b']).optional(),
})
const answer = z.object({ id: z.string(), state: z.enum(['up', 'down']), note: z.string().nullable().optional() })

describe('what breaks a client', () => {
  test.each<[string, Parts, Parts, string]>([
    ['a path that is gone', {}, { path: '/v1/others' }, 'POST /v1/things is gone'],
    ['a key that is needed now', {}, { scopes: [] }, 'POST /v1/things needs an API key now'],
    ['a body that is needed now', {}, { body: thing }, 'POST /v1/things needs a body now'],
    [
      'a field that is required now',
      { body: thing },
      { body: thing.extend({ owner: z.string() }) },
      'POST /v1/things body.owner is required now',
    ],
    [
      'an optional field that became required',
      { body: thing },
      { body: thing.required({ size: true }) },
      'POST /v1/things body.size is required now',
    ],
    [
      'a field that is no longer taken',
      { body: thing },
      { body: thing.omit({ size: true }) },
      'POST /v1/things body.size is gone',
    ],
    [
      'a type that changed',
      { body: thing },
      { body: thing.extend({ name: z.number() }) },
      'POST /v1/things body.name: string became number or integer',
    ],
    [
      'a bound that narrowed',
      { body: thing },
      { body: thing.extend({ size: z.int().max(5).optional() }) },
      'POST /v1/things body.size: maximum is 5 now, was 10',
    ],
    [
      'a value that is no longer taken',
      { body: thing },
      { body: thing.extend({ kind: z.enum(['a']).optional() }) },
      'POST /v1/things body.kind no longer takes "b"',
    ],
    [
      'a parameter that is required now',
      { query: z.strictObject({}) },
      { query: z.strictObject({ at: z.string() }) },
      'POST /v1/things: query parameter at is required now',
    ],
    [
      'a parameter that is gone',
      { query: z.strictObject({ at: z.string().optional() }) },
      {},
      'POST /v1/things: query parameter at is gone',
    ],
    [
      'a field of an answer that is gone',
      { response: answer },
      { response: answer.omit({ id: true }) },
      'POST /v1/things 200.data.id is gone',
    ],
    [
      'a field of an answer that may be missing',
      { response: answer },
      { response: answer.partial({ id: true }) },
      'POST /v1/things 200.data.id may be missing now',
    ],
    [
      'an answer that may be something new',
      { response: answer },
      { response: answer.extend({ state: z.enum(['up', 'down', 'lost']) }) },
      'POST /v1/things 200.data.state may answer "lost" now',
    ],
    [
      'an answer that may be null',
      { response: answer },
      { response: answer.extend({ id: z.string().nullable() }) },
      'POST /v1/things 200.data.id: string became string or null',
    ],
    ['another status', {}, { status: 201 }, 'POST /v1/things no longer answers 200'],
    [
      'a field in a list',
      { response: z.array(answer) },
      { response: z.array(answer.omit({ id: true })) },
      'POST /v1/things 200.data[].id is gone',
    ],
    [
      'a named part',
      { response: answer.meta({ id: 'Part' }) },
      { response: answer.omit({ id: true }).meta({ id: 'Part2' }) },
      'POST /v1/things 200.data.id is gone',
    ],
  ])('%s', (_, before, after, said) => expect(changes(before, after)).toEqual([said]))

  test.each<[string, Parts, Parts]>([
    ['nothing', { body: thing, response: answer }, { body: thing, response: answer }],
    ['a new optional field', { body: thing }, { body: thing.extend({ owner: z.string().optional() }) }],
    ['a field that is no longer required', { body: thing }, { body: thing.partial() }],
    ['a wider bound', { body: thing }, { body: thing.extend({ size: z.int().max(50).optional() }) }],
    [
      'a further value that is taken',
      { body: thing },
      { body: thing.extend({ kind: z.enum(['a', 'b', 'c']).optional() }) },
    ],
    ['a further field of an answer', { response: answer }, { response: answer.extend({ more: z.string() }) }],
    ['an answer that is never null any more', { response: answer }, { response: answer.extend({ note: z.string() }) }],
    ['a new optional parameter', {}, { query: z.strictObject({ at: z.string().optional() }) }],
    ['a key that is no longer needed', { scopes: [] }, { scopes: 'public' }],
  ])('%s breaks nobody', (_, before, after) => expect(changes(before, after)).toEqual([]))
})
