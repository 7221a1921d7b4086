import type { FastifyRequest } from 'fastify'

/** Characters of what a client calls itself. */
const MAX_AGENT_LENGTH = 100

/** Who did something through the ops listener, as far as it can tell: for a line of the log. */
export function callerOf({ id, ip, headers }: FastifyRequest) {
  const agent = headers['user-agent']
  return { reqId: id, peer: ip, ...(agent !== undefined && { agent: agent.slice(0, MAX_AGENT_LENGTH) }) }
}
