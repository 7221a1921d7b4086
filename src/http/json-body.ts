import type { FastifyInstance } from 'fastify'
import { HoldfastError } from '../domain/errors.ts'
import { parseJson } from '../domain/json.ts'
import { MAX_JSON_DEPTH } from '../domain/limits.ts'

/** What is kept of a body may nest so deep, one level in. */
const MAX_BODY_DEPTH = MAX_JSON_DEPTH + 1

/**
 * JSON is the one kind of body; an empty one, with or without a content type, says the same as `{}`. Depth is bounded here, for
 * all that looks into a body later.
 */
export function registerJsonBody(app: FastifyInstance): void {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (_request, bytes, done) => {
    if (bytes.length === 0) return done(null, undefined)
    const parsed = parseJson(Buffer.from(bytes), MAX_BODY_DEPTH)
    if (parsed.ok) done(null, parsed.value)
    else done(new HoldfastError('invalid_request', parsed.reason))
  })
  app.addHook('preValidation', (request, _reply, done) => {
    request.body ??= {}
    done()
  })
}
