export type { Address } from './address.ts'
export { type FaultApi, type FaultApiOptions, startFaultApi } from './api.ts'
export {
  type Census,
  type CensusCounts,
  type CensusReport,
  type Origin,
  type StraySocket,
  startCensus,
} from './census.ts'
export {
  type Fault,
  type FaultCell,
  type FaultMatrixOptions,
  renderFaultMatrix,
  runFaultMatrix,
} from './fault-matrix.ts'
export { createFaultSchedule, type FaultEvent, type FaultScheduleOptions } from './fault-schedule.ts'
export {
  type ExitStatus,
  type FaultyProcess,
  type ProcessOptions,
  portAccepts,
  startProcess,
} from './process-faults.ts'
export { continueTree, killTree, stopTree } from './process-tree.ts'
export { type FaultProxy, type FaultProxyOptions, type FaultProxyStats, startFaultProxy } from './proxy.ts'
export {
  checkRecovery,
  type RecoverableLink,
  type RecoverableSnapshot,
  type RecoveryBaseline,
  type RecoveryOptions,
  type RecoveryVerdict,
  type ResourceMeter,
  takeBaseline,
} from './recovery-checker.ts'
export { createProcessFaults, createProxyFaults } from './standard-faults.ts'
export {
  type Direction,
  TOXIC_TYPES,
  type Toxic,
  type ToxicAttributes,
  type ToxicSpec,
  type ToxicType,
} from './toxics.ts'
