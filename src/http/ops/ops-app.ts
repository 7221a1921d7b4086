import type { IncomingMessage, ServerResponse } from 'node:http'
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyBaseLogger, FastifyInstance, FastifyRequest, RawServerDefault } from 'fastify'

/** A Fastify instance whose handlers are typed by their TypeBox schemas. */
export type OpsApp = FastifyInstance<
  RawServerDefault,
  IncomingMessage,
  ServerResponse,
  FastifyBaseLogger,
  TypeBoxTypeProvider
>

/** Characters of what a client calls itself. */
const MAX_AGENT_LENGTH = 100

/** Who did something through the ops listener, as far as it can tell: for a line of the log. */
export function clientOf({ id, ip, headers }: FastifyRequest) {
  const agent = headers['user-agent']
  return { reqId: id, peer: ip, ...(agent !== undefined && { agent: agent.slice(0, MAX_AGENT_LENGTH) }) }
}
