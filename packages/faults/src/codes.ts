// The error codes of this package. Everything here throws through `fault`, so that whoever imports any part of the
// package has its codes in the table.

import { type ErrorCode, RipstopError, type RipstopErrorOptions, registerErrorCodes } from '@ripstop/kernel'

const FAULT_CODES = {
  FAULT_INVALID: {
    http: 400,
    retry: false,
    fix: 'Correct the fault or proxy as the message says; nothing was changed.',
  },
  FAULT_UNKNOWN: { http: 404, retry: false, fix: 'List the proxies and their toxics; this name is not among them.' },
  FAULT_DUPLICATE: { http: 409, retry: false, fix: 'Choose another name, or remove what has this one first.' },
  FAULT_REFUSED: {
    http: 403,
    retry: false,
    fix: 'Call the fault API from this machine, with a client that is not a browser.',
  },
  FAULT_METHOD: { http: 405, retry: false, fix: 'Use one of the methods that the message names.' },
  FAULT_LISTEN_FAILED: {
    http: 500,
    retry: true,
    fix: 'Free the address, or let the proxy choose a port by asking for 0.',
  },
  PROCESS_FAILED: {
    http: 500,
    retry: true,
    fix: 'Read the output of the process in details; it ended or was never ready.',
  },
} as const satisfies Record<string, ErrorCode>

declare module '@ripstop/kernel' {
  interface ErrorCodes extends Record<keyof typeof FAULT_CODES, ErrorCode> {}
}

registerErrorCodes(FAULT_CODES)

/** A failure of this package. */
export function fault(code: keyof typeof FAULT_CODES, message: string, options?: RipstopErrorOptions): RipstopError {
  return new RipstopError(code, message, options)
}
