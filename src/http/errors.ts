import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Logger } from 'pino'
import { isHoldfastError } from '../domain/errors.ts'
import { type ProblemCode, sendProblem, statusOf } from './problems.ts'

interface ValidationFault {
  readonly instancePath: string
  readonly keyword: string
  readonly message?: string
  readonly params: Readonly<Record<string, unknown>>
}

/** As much of Fastify's errors as decides the answer. */
interface FrameworkError extends Error {
  readonly code?: string
  readonly statusCode?: number
  readonly validation?: readonly ValidationFault[]
  readonly validationContext?: string
}

/** Turns whatever was thrown while a request was served into its one problem; what nobody foresaw is logged. */
export const answerErrors = (log: Logger) => (thrown: unknown, request: FastifyRequest, reply: FastifyReply) => {
  const error = thrown as FrameworkError
  const code = codeOf(error)
  if (code === 'unavailable') log.warn({ reqId: request.id, error: error.message }, 'request refused')
  else if (isOurFault(code)) log.error({ err: error, reqId: request.id }, 'request failed')
  const detail = detailOf(code, error)
  return sendProblem(reply, code, detail === undefined ? {} : { detail })
}

const BY_FRAMEWORK_CODE: Readonly<Record<string, ProblemCode>> = {
  FST_ERR_VALIDATION: 'invalid_request',
  FST_ERR_CTP_BODY_TOO_LARGE: 'too_large',
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'unsupported_media_type',
  FST_ERR_BAD_URL: 'malformed',
}

function codeOf(error: FrameworkError): ProblemCode {
  if (isHoldfastError(error)) return error.code
  const known = BY_FRAMEWORK_CODE[error?.code ?? '']
  if (known !== undefined) return known
  const status = error?.statusCode ?? 500
  return status >= 400 && status < 500 ? 'malformed' : 'error'
}

/** A provider's fault is told to the caller, in words that hold no secret, and is no error of this service. */
const isOurFault = (code: ProblemCode): boolean => statusOf(code) >= 500 && code !== 'provider_failed'

/** Only what tells the caller about its own request: the message of a fault of ours stays in the log. */
function detailOf(code: ProblemCode, error: FrameworkError): string | undefined {
  if (isOurFault(code)) return undefined
  if (isHoldfastError(error)) return error.message
  const fault = error.validation?.[0]
  return fault === undefined ? undefined : describe(fault, error.validationContext)
}

function describe({ instancePath, keyword, message, params }: ValidationFault, context = 'request'): string {
  const kind = context === 'querystring' ? 'query parameter' : `${context} property`
  if (keyword === 'additionalProperties') return `unknown ${kind} ${String(params.additionalProperty)}`
  const allowed = Array.isArray(params.allowedValues) ? `: ${params.allowedValues.join(', ')}` : ''
  const place = instancePath === '' ? `the ${context}` : `${kind} ${instancePath.slice(1).replaceAll('/', '.')}`
  return `${place} ${message ?? 'is not valid'}${allowed}`
}
