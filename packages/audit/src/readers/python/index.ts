export { readPython } from './read.ts'
