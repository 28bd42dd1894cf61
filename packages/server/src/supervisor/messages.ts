// What the supervisor and its processes tell each other over the IPC channel (structured clone, so Infinity survives).

import type { Code, MeshGraph, MetricFamily } from '@ripstop/kernel'
import type { ProcessGraph } from '#health'
import type { ProcessMetrics } from '#platform/telemetry'

export type ToProcess =
  /** Where Postgres is, as soon as that is known and whenever it changes. */
  | { readonly type: 'database'; readonly url: string }
  | { readonly type: 'ping'; readonly id: number }
  /** The graphs of the supervisor and of the other processes. */
  | { readonly type: 'graphs'; readonly graphs: readonly ProcessGraph[] }
  /** What another process counts. */
  | { readonly type: 'metrics'; readonly metrics: ProcessMetrics }
  | { readonly type: 'stop' }

export type FromProcess =
  | { readonly type: 'ready'; readonly address: string | undefined }
  /** It can't start, and starting again would not help: the supervisor gives up if it never ran. */
  | { readonly type: 'refused'; readonly code: Code; readonly message: string }
  | { readonly type: 'pong'; readonly id: number }
  | { readonly type: 'graph'; readonly graph: MeshGraph }
  | { readonly type: 'metrics'; readonly families: readonly MetricFamily[] }
