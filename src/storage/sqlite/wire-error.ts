import { isHoldfastError, messageOf } from '../../domain/errors.ts'
import { isCorruption, isEnvironmental } from './sqlite-errors.ts'
import type { WireError } from './thread-error.ts'

/** An error on its way between threads, where its class would be lost. */
export const wireErrorOf = (error: unknown): WireError => ({
  ...(isCorruption(error instanceof Error ? (error.cause ?? error) : error) && { isDamage: true }),
  error: isHoldfastError(error) ? error.code : isEnvironmental(error) ? 'unavailable' : 'invalid_request',
  message: isCorruption(error) ? `the database is damaged: ${messageOf(error)}` : messageOf(error),
})
