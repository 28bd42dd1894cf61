export { API_VERSION } from './documents.ts'
