// The server's error codes, added to the kernel's table.

import { type ErrorCode, registerErrorCodes } from '@ripstop/kernel'

const SERVER_CODES = {
  POSTGRES_UNAVAILABLE_HERE: { http: 503, retry: false, fix: 'Set DATABASE_URL to a Postgres 15 to 18.' },
  POSTGRES_DATA_UNUSABLE: { http: 503, retry: false, fix: 'Put right what the message says about the path it names.' },
  POSTGRES_START_FAILED: { http: 503, retry: true, fix: 'Look at the end of the log that the message names.' },
  SEAL_BROKEN: {
    http: 500,
    retry: false,
    fix: 'Give every master key that values were sealed with; a value that was copied or changed must be made anew.',
  },
} as const satisfies Record<string, ErrorCode>

declare module '@ripstop/kernel' {
  interface ErrorCodes extends Record<keyof typeof SERVER_CODES, ErrorCode> {}
}

registerErrorCodes(SERVER_CODES)
