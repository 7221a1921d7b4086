import type { FastifyInstance } from 'fastify'
import { HoldfastError } from '../domain/errors.ts'

/** JSON is the one kind of body; an empty one, with or without a content type, says the same as `{}`. */
export function registerJsonBody(app: FastifyInstance): void {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (_request, text, done) => {
    if (text.length === 0) return done(null, undefined)
    try {
      done(null, JSON.parse(text.toString()))
    } catch {
      done(new HoldfastError('invalid_request', 'the body is not valid JSON'))
    }
  })
  app.addHook('preValidation', (request, _reply, done) => {
    request.body ??= {}
    done()
  })
}
