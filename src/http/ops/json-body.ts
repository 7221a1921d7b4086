import type { FastifyInstance } from 'fastify'
import { HoldfastError } from '../../domain/errors.ts'
import { type Parsed, parseJson } from '../../domain/json.ts'
import { memberOf } from '../../domain/json-scan.ts'
import { MAX_INLINE_BYTES, MAX_JSON_DEPTH } from '../../domain/limits.ts'

/** Stored parts of a body, such as `submit`, may nest `MAX_JSON_DEPTH` deep, and the body is one level around them. */
const MAX_BODY_DEPTH = MAX_JSON_DEPTH + 1

/**
 * Parses bodies as JSON and accepts no other media type. An empty body, with or without a content type, means `{}`. The depth is
 * bounded here, so that later code may recurse.
 */
export function registerJsonBody(app: FastifyInstance): void {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (_request, bytes, done) => {
    if (bytes.length === 0) return done(null, undefined)
    const body = Buffer.from(bytes)
    const isLong = body.length > MAX_INLINE_BYTES
    const parsed = isLong ? parseLong(body) : parseJson(body, MAX_BODY_DEPTH)
    if (!parsed.ok) done(new HoldfastError('invalid_request', parsed.reason))
    else if (isLong) setImmediate(done, null, parsed.value)
    else done(null, parsed.value)
  })
  app.addHook('preValidation', (request, _reply, done) => {
    request.body ??= {}
    done()
  })
}

/** The only member of a body that may be long. */
const LONG_MEMBER = 'submit'
const longSubmits = new WeakMap<object, string>()

/** The JSON text of `submit` of a long body, in which an empty object stands in its place. Undefined: the body is short, and complete. */
export const longSubmitOf = (body: object): string | undefined => longSubmits.get(body)

const utf8 = new TextDecoder('utf-8', { fatal: true })

/** Parses everything but `submit`: parsing a megabyte in this thread would delay acknowledgements. */
function parseLong(bytes: Buffer): Parsed {
  const { from, end } = memberOf(bytes, LONG_MEMBER) ?? { from: 0, end: 0 }
  if (bytes.length - (end - from) > MAX_INLINE_BYTES)
    return { ok: false, reason: `the body has more than ${MAX_INLINE_BYTES} bytes beside ${LONG_MEMBER}` }
  const submit = bytes.subarray(from, end)
  const empty = Buffer.from(submit.toString('latin1', 0, 1) === '{' ? '{}' : 'null')
  const parsed = parseJson(Buffer.concat([bytes.subarray(0, from), empty, bytes.subarray(end)]), MAX_BODY_DEPTH)
  if (!parsed.ok) return parsed
  try {
    longSubmits.set(parsed.value as object, utf8.decode(submit))
    return parsed
  } catch {
    return { ok: false, reason: 'the body is not valid UTF-8' }
  }
}
