export type { IndexedFile } from './file.ts'
export { type BlockRef, type CallSite, createProgram, type Program, programOf } from './program.ts'
