export { createTimeEstimator, type TimeEstimator } from './estimator.ts'
export type { TimeSample } from './sample.ts'
