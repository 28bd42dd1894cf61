export { httpFault } from './fault.ts'
export { createHttpAdapter, type HttpAdapterOptions } from './http-adapter.ts'
export { failedAnswer, type HttpAnswer, HttpPool, type HttpRequest } from './http-pool.ts'
