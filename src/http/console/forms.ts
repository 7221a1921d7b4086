import type { FastifyInstance } from 'fastify'
import { HoldfastError } from '../../domain/errors.ts'

/** The fields of a form that was sent; of a field that was sent twice, all values in order. */
export type Form = ReadonlyMap<string, readonly string[]>

const MEDIA_TYPE = 'application/x-www-form-urlencoded'

/** Reads forms, for routes of the console alone: any site may send a form, and no other route should understand one. */
export function registerForms(app: FastifyInstance): void {
  app.addContentTypeParser(MEDIA_TYPE, { parseAs: 'string' }, (request, text, done) => {
    if (request.routeOptions.config.console !== true)
      return done(Object.assign(new Error('no form is read here'), { code: 'FST_ERR_CTP_INVALID_MEDIA_TYPE' }))
    const fields = new Map<string, string[]>()
    for (const [name, value] of new URLSearchParams(text.toString()))
      fields.set(name, [...(fields.get(name) ?? []), value])
    done(null, fields)
  })
}

export const fieldOf = (form: unknown, name: string): string | undefined =>
  form instanceof Map ? (form as Form).get(name)?.[0] : undefined

/** Rejects with `invalid_request` if the field is not there. */
export function requiredField(form: unknown, name: string): string {
  const value = fieldOf(form, name)
  if (value === undefined || value === '') throw new HoldfastError('invalid_request', `the field ${name} is missing`)
  return value
}
