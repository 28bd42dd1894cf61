// The gateway's error codes, added to the kernel's table. What else a client may meet comes from the kernel and protocol.

import { type ErrorCode, registerErrorCodes } from '@ripstop/kernel'
import '@ripstop/protocol'

const GATEWAY_CODES = {
  LOOP_DETECTED: {
    http: 508,
    retry: false,
    fix: 'Point the upstream at a service: this request came back to the gateway that had sent it.',
  },
} as const satisfies Record<string, ErrorCode>

declare module '@ripstop/kernel' {
  interface ErrorCodes extends Record<keyof typeof GATEWAY_CODES, ErrorCode> {}
}

registerErrorCodes(GATEWAY_CODES)
