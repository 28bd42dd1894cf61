// The error codes of this package. Everything here throws through `auditError`, so that whoever imports any part of the package has its
// codes in the table.

import { type ErrorCode, RipstopError, type RipstopErrorOptions, registerErrorCodes } from '@ripstop/kernel'

const AUDIT_CODES = {
  AUDIT_USAGE: { http: 400, retry: false, fix: 'Correct the command as the message says; `--help` shows all of it.' },
  AUDIT_TARGET_INVALID: {
    http: 404,
    retry: false,
    fix: 'Name a folder or a file that exists and that may be read; nothing was audited.',
  },
  AUDIT_OUT_UNWRITABLE: {
    http: 500,
    retry: false,
    fix: 'Name a place for `--out` where this user may write; nothing was audited.',
  },
  AUDIT_INPUT_UNREADABLE: {
    http: 404,
    retry: false,
    fix: 'Name a file that exists, that this user may read and that is no larger than the message says.',
  },
  AUDIT_MESH_UNREADABLE: {
    http: 502,
    retry: true,
    fix: 'Name the address of a running mesh with `--mesh`; where it asks for a key, RIPSTOP_KEY is one that may read it.',
  },
  AUDIT_REPORT_INVALID: {
    http: 400,
    retry: false,
    fix: 'Name a report that this version wrote with `--format json`.',
  },
  AUDIT_RESULTS_INVALID: {
    http: 400,
    retry: false,
    fix: 'Name a result file: JUnit XML, or JSON with a list of tests that have a name and a status.',
  },
} as const satisfies Record<string, ErrorCode>

declare module '@ripstop/kernel' {
  interface ErrorCodes extends Record<keyof typeof AUDIT_CODES, ErrorCode> {}
}

registerErrorCodes(AUDIT_CODES)

/** A failure of this package. */
export function auditError(
  code: keyof typeof AUDIT_CODES,
  message: string,
  options?: RipstopErrorOptions,
): RipstopError {
  return new RipstopError(code, message, options)
}
