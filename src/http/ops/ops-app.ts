import type { IncomingMessage, ServerResponse } from 'node:http'
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import { Type } from '@sinclair/typebox'
import type {
  FastifyBaseLogger,
  FastifyInstance,
  FastifyRequest,
  preValidationHookHandler,
  RawServerDefault,
} from 'fastify'
import { HoldfastError } from '../../domain/errors.ts'
import { DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE } from '../../domain/limits.ts'
import type { PageRequest } from '../../domain/page.ts'

/** A Fastify instance whose handlers are typed by their TypeBox schemas. */
export type OpsApp = FastifyInstance<
  RawServerDefault,
  IncomingMessage,
  ServerResponse,
  FastifyBaseLogger,
  TypeBoxTypeProvider
>

/** Characters of a `User-Agent` in the log. */
const MAX_AGENT_LENGTH = 100

/** What the log says about the client of a request. */
export function clientOf({ id, ip, headers }: FastifyRequest) {
  const agent = headers['user-agent']
  return { reqId: id, peer: ip, ...(agent !== undefined && { agent: agent.slice(0, MAX_AGENT_LENGTH) }) }
}

/** Characters of a cursor. */
const MAX_CURSOR_LENGTH = 512

export const pageQuery = {
  limit: Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: MAX_PAGE_SIZE,
      description: `Items of one page; default ${DEFAULT_PAGE_SIZE}`,
    }),
  ),
  cursor: Type.Optional(
    Type.String({ minLength: 1, maxLength: MAX_CURSOR_LENGTH, description: 'The `next_cursor` of the page before' }),
  ),
}

export const pageRequest = ({
  limit = DEFAULT_PAGE_SIZE,
  cursor,
}: {
  limit?: number
  cursor?: string
}): PageRequest => ({
  limit,
  ...(cursor !== undefined && { cursor }),
})

/** The schema's format allows a leap second, which JavaScript cannot parse. */
export function timeOf(field: string, text: string): number {
  const ms = Date.parse(text)
  if (Number.isNaN(ms)) throw new HoldfastError('invalid_request', `${field} is not a time`)
  return ms
}

interface FilterText {
  readonly limit?: number
  readonly cursor?: string
  readonly since?: string
  readonly until?: string
}

/** The fields of a request that filter, with their times in milliseconds. */
export const filterOf = <Given extends FilterText>({ limit: _, cursor: __, since, until, ...same }: Given) => ({
  ...same,
  ...(since !== undefined && { sinceMs: timeOf('since', since) }),
  ...(until !== undefined && { untilMs: timeOf('until', until) }),
})

const NUMBERS = ['limit', 'wait', 'step']
/** Query parameters that may be repeated. */
const LISTS = ['match']

/** Converts the text of numeric query parameters to numbers: the schema does not coerce values. */
export const readNumbers: preValidationHookHandler = (request, _reply, done) => {
  const query = request.query as Record<string, unknown>
  for (const name of NUMBERS) {
    const text = query[name]
    if (typeof text === 'string' && /^-?\d{1,9}$/.test(text)) query[name] = Number(text)
  }
  for (const name of LISTS) if (typeof query[name] === 'string') query[name] = [query[name]]
  done()
}
