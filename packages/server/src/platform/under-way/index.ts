export { type Kept, UnderWay } from './under-way.ts'
