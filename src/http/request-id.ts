import { randomBytes } from 'node:crypto'
import type { IncomingMessage } from 'node:http'

/** Short enough for a log line, and nothing in it that a log or a header could take for more than text. */
const PLAIN = /^[\w.-]{1,64}$/

/** Takes the caller's `x-request-id` where it is plain; otherwise numbers requests under a prefix of this process. */
export function requestIds(): (request: IncomingMessage) => string {
  const prefix = randomBytes(6).toString('hex')
  let count = 0
  return ({ headers }) => {
    const given = headers['x-request-id']
    return typeof given === 'string' && PLAIN.test(given) ? given : `${prefix}-${(++count).toString(36)}`
  }
}
