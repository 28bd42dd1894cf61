// What a session is, as stores keep it: JSON, opaque to them.

import type { SessionState } from '@ripstop/protocol/sessions'

export interface SessionBody {
  readonly state: SessionState
  /** Whatever its creator wanted to keep with it; bounded by the edge. */
  readonly metadata: Readonly<Record<string, unknown>>
  readonly createdMs: number
  /** What the timeout action `event` publishes; undefined: `session.timeout`. */
  readonly timeoutEvent: string | undefined
}
