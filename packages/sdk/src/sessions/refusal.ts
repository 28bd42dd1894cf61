import { type Code, errorCodes, RipstopError, type RipstopErrorOptions } from '@ripstop/kernel'
import '@ripstop/protocol/codes'

/** A refusal of the server as an error; one of a later version, with a code that is not known here, is PEER_REFUSED. */
export function refusalOf(code: string, message: string, options: RipstopErrorOptions = {}): RipstopError {
  if (errorCodes().has(code)) return new RipstopError(code as Code, message, options)
  return new RipstopError('PEER_REFUSED', message, { ...options, details: { ...options.details, code } })
}
