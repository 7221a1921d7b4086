import { ConfigurationError, HoldfastError, messageOf } from '../../domain/errors.ts'
import type { StoreLog } from '../../domain/store.ts'
import { codeOf, isOfServer } from './errors.ts'

const RETRY_MS = 500

/**
 * SQLSTATEs of passing errors: the connection broke, the server is stopping or starting, the server has no room for another
 * connection.
 */
const PASSING_STATES = /^(?:08|57P0[123]$|53300$)/
const PASSING_CODES = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EPIPE',
  'EAI_AGAIN',
])
/** Words in those messages of `pg` that have no code. */
const PASSING_WORDS = /timeout|terminated|not queryable/i

/**
 * Runs `open`, which connects to a database, and runs it again while the database is starting, restarting or failing over.
 * Rejects with `ConfigurationError` at an error that will not pass, or that has not passed within `connectRetryMs`.
 */
export async function connectWithRetry<Opened>(
  connectRetryMs: number,
  onLog: StoreLog,
  open: () => Promise<Opened>,
): Promise<Opened> {
  const until = Date.now() + connectRetryMs
  for (let isFirst = true; ; isFirst = false) {
    try {
      return await open()
    } catch (error) {
      if (error instanceof ConfigurationError) throw error
      const cause = error instanceof HoldfastError && error.cause !== undefined ? error.cause : error
      if (!mayPass(cause) || Date.now() >= until) throw new ConfigurationError([faultOf(cause)])
      if (isFirst) onLog('warn', `waiting for PostgreSQL: ${messageFor(cause)}`)
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS))
    }
  }
}

const mayPass = (error: unknown): boolean => {
  const code = codeOf(error)
  if (isOfServer(error)) return PASSING_STATES.test(code ?? '')
  return code === undefined ? PASSING_WORDS.test(messageOf(error)) : PASSING_CODES.has(code)
}

/** If all addresses of a host refuse the connection, the error has no message. */
const messageFor = (error: unknown): string => messageOf(error) || codeOf(error) || 'it does not answer'

function faultOf(error: unknown): string {
  const code = codeOf(error)
  const why = messageFor(error)
  if (code === '28P01' || code === '28000')
    return sentence(`DATABASE_URL: PostgreSQL does not let this user in: ${why}`)
  if (code === '3D000') return sentence(`DATABASE_URL: ${why}: create it`)
  if (/client password must be a string/.test(why))
    return 'DATABASE_URL names no password, and PostgreSQL asks for one.'
  if (isOfServer(error)) return sentence(`DATABASE_URL: the store could not be opened: ${why}`)
  return sentence(`DATABASE_URL: PostgreSQL cannot be reached: ${why}`)
}

export const sentence = (text: string): string => (text.endsWith('.') ? text : `${text}.`)
