// What may be set, with its defaults.

export interface DeliverySettings {
  /** How long a shard stays with a worker that says nothing. */
  readonly leaseMs: number
  readonly renewMs: number
  /** Deliveries under way and not settled yet, of this process. */
  readonly underWayMax: number
  readonly rowsMax: number
  readonly bytesMax: number
  readonly batchMax: number
  /** How often new rows are looked for while there are some, and when there were none for long. */
  readonly busyPollMs: number
  readonly idlePollMs: number
  /** How often everything undone is looked for. */
  readonly sweepMs: number
  /** How often kinds are asked for what they know of targets. */
  readonly targetsMs: number
  /** How long a stop waits for what is under way. */
  readonly drainMs: number
  /** What was kept for a parked target for so long becomes a dead letter. */
  readonly parkedMsMax: number
  /** So many undone deliveries of a lane are counted, no more. */
  readonly countMax: number
  /** How often the metrics of the tables are read. */
  readonly surveyMs: number
}

export const DELIVERY_DEFAULTS: DeliverySettings = {
  leaseMs: 10_000,
  renewMs: 3_000,
  underWayMax: 1_024,
  rowsMax: 16_384,
  bytesMax: 64 * 1024 * 1024,
  batchMax: 512,
  busyPollMs: 10,
  idlePollMs: 50,
  sweepMs: 5_000,
  targetsMs: 500,
  drainMs: 20_000,
  parkedMsMax: 90 * 86_400_000,
  countMax: 2_500_000,
  surveyMs: 15_000,
}
