export { readTypeScript } from './read.ts'
