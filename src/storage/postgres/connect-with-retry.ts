import { ConfigurationError, HoldfastError, messageOf } from '../../domain/errors.ts'
import type { StoreLog } from '../../domain/store.ts'
import { codeOf, isOfServer } from './errors.ts'

const RETRY_MS = 500

/** Connections broken, the server stopping or starting, no room for another connection. */
const PASSING_ON_SERVER = /^(?:08|57P0[123]$|53300$)/
const PASSING_ON_THE_WAY = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EPIPE',
  'EAI_AGAIN',
])
/** What `pg` says without a code. */
const PASSING_IN_WORDS = /timeout|terminated|not queryable/i

/**
 * Opens what a database has to be there for, and waits for one that is just starting, restarting or failing over. Whatever
 * will not pass, or has not passed by then, rejects with `ConfigurationError`.
 */
export async function withPatience<Opened>(
  patienceMs: number,
  onLog: StoreLog,
  open: () => Promise<Opened>,
): Promise<Opened> {
  const until = Date.now() + patienceMs
  for (let isFirst = true; ; isFirst = false) {
    try {
      return await open()
    } catch (error) {
      if (error instanceof ConfigurationError) throw error
      const cause = error instanceof HoldfastError && error.cause !== undefined ? error.cause : error
      if (!mayPass(cause) || Date.now() >= until) throw new ConfigurationError([faultOf(cause)])
      if (isFirst) onLog('warn', `waiting for PostgreSQL: ${wordsOf(cause)}`)
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS))
    }
  }
}

const mayPass = (error: unknown): boolean => {
  const code = codeOf(error)
  if (isOfServer(error)) return PASSING_ON_SERVER.test(code ?? '')
  return code === undefined ? PASSING_IN_WORDS.test(messageOf(error)) : PASSING_ON_THE_WAY.has(code)
}

/** Several addresses of one host that all refuse make an error without words. */
const wordsOf = (error: unknown): string => messageOf(error) || codeOf(error) || 'it does not answer'

function faultOf(error: unknown): string {
  const code = codeOf(error)
  const why = wordsOf(error)
  if (code === '28P01' || code === '28000')
    return sentence(`DATABASE_URL: PostgreSQL does not let this user in: ${why}`)
  if (code === '3D000') return sentence(`DATABASE_URL: ${why}: create it`)
  if (/client password must be a string/.test(why))
    return 'DATABASE_URL names no password, and PostgreSQL asks for one.'
  if (isOfServer(error)) return sentence(`DATABASE_URL: the store could not be opened: ${why}`)
  return sentence(`DATABASE_URL: PostgreSQL cannot be reached: ${why}`)
}

export const sentence = (text: string): string => (text.endsWith('.') ? text : `${text}.`)
