// What of Ripstop mends a fault, as remedies name it: each of these exists, by this name, in the package that it names.
//   AR2. A remedy names a guarantee of this list or none; what the list calls with parentheses is exported by that package.

export const GUARANTEES = {
  deadline:
    'mesh.link(name, adapter, { deadlineMs }) of @ripstop/kernel: no call without a deadline, queueing and retries included',
  within: 'ctx.within(ms) of @ripstop/kernel around each step: its calls end with it',
  failures: 'link.call(ctx, work) of @ripstop/kernel: every failure has a code, is counted and reaches its caller',
  fallback: 'link.callOr(ctx, work, fallback) of @ripstop/kernel: what answers instead is seen, and named in the graph',
  retry:
    'retry: { attempts, baseMs, capMs } of a link of @ripstop/kernel: full jitter, only what is safe to repeat, paid from a budget',
  breaker: 'breaker of a link of @ripstop/kernel: a rate over a window, half-open by time, no reset needed',
  bulkhead: 'bulkhead: { concurrent, queue } of a link of @ripstop/kernel: bounded, refused at the bound',
  rate: 'rate: { perSecond, burst } of a link of @ripstop/kernel',
  reconnect: 'a link of @ripstop/kernel connects again by itself, with full jitter, for as long as the process lives',
  stores:
    'createPostgresAdapter(…) of @ripstop/kernel/postgres, createRedisAdapter(…) of @ripstop/kernel/redis: deadlines of opening and of calls, probed, renewed by themselves',
  http: 'createHttpAdapter(…) of @ripstop/kernel/http: one pool for the life of the program; a refusal is an error with a code',
  health:
    'mesh.graph() of @ripstop/kernel: the state of each link, proved by probes, for a health route that can say no',
  drain: 'mesh.drain(ctx) of @ripstop/kernel: calls under way end, the last link first, and it ends with its deadline',
  metrics: 'mesh.metrics of @ripstop/kernel: Prometheus text of every link',
  gatewayRate: 'rate_limit of a route of the mesh: global with Redis, a local share and a visible degradation without',
  onceIn: 'receiveOnce(…) of @ripstop/sdk/webhooks: the id is kept in the transaction of the effect',
  onceOut:
    'ripstop.publish(…) of the mesh, in your own transaction: committed with the change or not at all, one id for ever',
  delivery: 'webhooks of the mesh: tried again for a day, then a dead letter that can be sent again, under the same id',
  sessions: 'connectSession(…) of @ripstop/sdk/sessions: a client that comes back is given what it missed, in order',
} as const
