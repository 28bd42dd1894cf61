export type { BlockRef, CallNames, CallSite, FoundCall } from './calls.ts'
export type { IndexedFile } from './file.ts'
export { createProgram, type Program, programOf } from './program.ts'
