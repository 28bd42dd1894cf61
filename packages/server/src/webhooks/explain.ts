// Why an event does or does not go to an endpoint, in words for people; and the same decision for replays.

import type { StoredEvent } from '#events'
import type { Endpoint } from './endpoint.ts'
import { compileFilter, type Filter } from './filter.ts'
import { fits } from './matcher.ts'
import { meantFor } from './own-events.ts'

export type Match =
  | { readonly is: 'match' }
  | { readonly is: 'other type'; readonly eventTypes: readonly string[] }
  | { readonly is: 'filtered'; readonly filter: string }
  | { readonly is: 'filter failed'; readonly filter: string; readonly error: string }
  /** It is about the endpoint itself, or a test of another one. */
  | { readonly is: 'not for it' }

type Seen = Pick<StoredEvent, 'type' | 'source' | 'subject' | 'body'>

/** By the settings as they are given; compiles the filter once. The function never throws. */
export function createMatch(endpoint: Pick<Endpoint, 'endpointId' | 'eventTypes' | 'filter'>): (event: Seen) => Match {
  const { endpointId, eventTypes, filter } = endpoint
  const compiled = filter === undefined ? undefined : compileOr(filter)
  return (event) => {
    const meant = meantFor(event, endpointId)
    if (meant === 'for it alone') return { is: 'match' }
    if (meant === 'not for it') return { is: 'not for it' }
    if (!eventTypes.some((pattern) => fits(pattern, event.type))) return { is: 'other type', eventTypes }
    if (filter === undefined || compiled === undefined) return { is: 'match' }
    if (typeof compiled === 'string') return { is: 'filter failed', filter, error: compiled }
    const parsed = JSON.parse(event.body.toString('utf8')) as Record<string, unknown>
    const verdict = compiled.test(parsed, event.body.length)
    if (verdict === 'match') return { is: 'match' }
    if (verdict === 'no match') return { is: 'filtered', filter }
    return { is: 'filter failed', filter, error: verdict.error }
  }
}

function compileOr(text: string): Filter | string {
  try {
    return compileFilter(text)
  } catch (error) {
    return error instanceof Error ? error.message : 'it can no longer be compiled'
  }
}
