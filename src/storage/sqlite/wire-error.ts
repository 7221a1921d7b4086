import { HoldfastError, isHoldfastError, messageOf } from '../../domain/errors.ts'
import type { WireError } from './messages.ts'
import { isEnvironmental } from './sqlite-errors.ts'

/** An error on its way between threads, where its class would be lost. */
export const wireErrorOf = (error: unknown): WireError => ({
  error: isHoldfastError(error) ? error.code : isEnvironmental(error) ? 'unavailable' : 'invalid_request',
  message: messageOf(error),
})

export const errorOf = ({ error, message }: WireError): HoldfastError => new HoldfastError(error, message)
