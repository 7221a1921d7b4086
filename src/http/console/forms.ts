import type { FastifyInstance, FastifyRequest } from 'fastify'
import { HoldfastError } from '../../domain/errors.ts'

/** The fields of a form that was sent; of a field that was sent twice, all values in order. */
export type Form = ReadonlyMap<string, readonly string[]>

const MEDIA_TYPE = 'application/x-www-form-urlencoded'
/** Fields of one form; their bytes are bounded by the listener. */
const MAX_FIELDS = 256

/** Reads forms, for routes of the console alone: any site may send a form, and no other route should understand one. */
export function registerForms(app: FastifyInstance): void {
  app.addContentTypeParser(MEDIA_TYPE, { parseAs: 'string' }, (request, text, done) => {
    if (request.routeOptions.config.console !== true)
      return done(Object.assign(new Error('no form is read here'), { code: 'FST_ERR_CTP_INVALID_MEDIA_TYPE' }))
    try {
      done(null, formOf(text.toString()))
    } catch (error) {
      done(error as HoldfastError)
    }
  })
}

function formOf(text: string): Form {
  const fields = new Map<string, string[]>()
  if (text.split('&', MAX_FIELDS + 1).length > MAX_FIELDS)
    throw new HoldfastError('invalid_request', `a form may have ${MAX_FIELDS} fields`)
  for (const [name, value] of new URLSearchParams(text)) {
    const values = fields.get(name)
    if (values === undefined) fields.set(name, [value])
    else values.push(value)
  }
  return fields
}

export const isForm = (body: unknown): body is Form => body instanceof Map

/**
 * Whether a page of this console sent the form: the browser says so, or names the site from which it came, which the guard has compared
 * with the host. What says neither is no form that a person sent from a page.
 */
export const isFromOwnPage = ({ headers: { origin, 'sec-fetch-site': site } }: FastifyRequest): boolean =>
  site === undefined ? origin !== undefined : site === 'same-origin'

export const fieldOf = (form: unknown, name: string): string | undefined => fieldsOf(form, name)[0]

export const fieldsOf = (form: unknown, name: string): readonly string[] => (isForm(form) ? (form.get(name) ?? []) : [])
