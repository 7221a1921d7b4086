import { STATUS_CODES } from 'node:http'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Logger } from 'pino'
import { type ErrorCode, isHoldfastError } from '../domain/errors.ts'
import { RETRY_AFTER_SECONDS } from '../domain/limits.ts'
import type { Received } from '../domain/receive.ts'
import type { RequestOutcome } from '../domain/telemetry.ts'
import { isBounded } from './connection.ts'
import type { ProblemJson } from './schemas/schema.ts'

type StoredOutcome = Extract<Received, { readonly uid: string }>['outcome']

/** Every reason for which a listener refuses: the domain's errors, the outcomes of a webhook, and HTTP's own faults. */
export type ProblemCode =
  | ErrorCode
  | Exclude<RequestOutcome, StoredOutcome>
  | 'not_found'
  | 'headers_too_large'
  | 'token_required'
  | 'token_invalid'
  | 'read_only'
  | 'foreign_host'
  | 'foreign_origin'
  | 'configuration_refused'

interface Problem {
  readonly status: number
  /** The end of the problem's `type`, on which a client may rely. */
  readonly slug: string
  readonly title: string
  readonly headers?: Readonly<Record<string, string>>
}

const unverified: Problem = { status: 401, slug: 'unverified', title: 'The signature could not be verified' }
const unavailable: Problem = {
  status: 503,
  slug: 'unavailable',
  title: 'Not available now, try again',
  headers: { 'retry-after': String(RETRY_AFTER_SECONDS) },
}

/** Reason → answer. The four faults of a signature get the same answer, so that a forger learns nothing from it. */
const PROBLEMS: Readonly<Record<ProblemCode, Problem>> = {
  signature_missing: unverified,
  signature_malformed: unverified,
  signature_mismatch: unverified,
  timestamp_stale: unverified,
  malformed: { status: 400, slug: 'malformed', title: 'The request is not well-formed' },
  invalid_request: { status: 400, slug: 'invalid-request', title: 'The request is not valid' },
  token_required: {
    status: 401,
    slug: 'token-required',
    title: 'A bearer token is required',
    headers: { 'www-authenticate': 'Bearer realm="holdfast"' },
  },
  token_invalid: {
    status: 401,
    slug: 'token-invalid',
    title: 'The bearer token is not valid',
    headers: { 'www-authenticate': 'Bearer realm="holdfast", error="invalid_token"' },
  },
  read_only: { status: 403, slug: 'read-only', title: 'This token may only read' },
  foreign_origin: { status: 403, slug: 'foreign-origin', title: 'Refused to another site' },
  unknown_source: { status: 404, slug: 'unknown-source', title: 'No such source' },
  event_not_found: { status: 404, slug: 'event-not-found', title: 'No such event' },
  handler_not_found: { status: 404, slug: 'handler-not-found', title: 'No such handler' },
  task_not_found: { status: 404, slug: 'task-not-found', title: 'No such task' },
  registration_not_found: { status: 404, slug: 'registration-not-found', title: 'No such registration' },
  replay_not_found: { status: 404, slug: 'replay-not-found', title: 'No such replay' },
  not_found: { status: 404, slug: 'not-found', title: 'No such resource' },
  method_not_allowed: { status: 405, slug: 'method-not-allowed', title: 'The method is not allowed here' },
  timeout: { status: 408, slug: 'timeout', title: 'The request took too long to arrive' },
  conflict: { status: 409, slug: 'conflict', title: 'The request contradicts the present state' },
  not_configured: { status: 409, slug: 'not-configured', title: 'The source is not configured for this' },
  idempotency_mismatch: {
    status: 422,
    slug: 'idempotency-mismatch',
    title: 'The Idempotency-Key was used for another request',
  },
  configuration_refused: {
    status: 422,
    slug: 'configuration-refused',
    title: 'The configuration has faults, and the old one stays',
  },
  too_many_readers: {
    status: 429,
    slug: 'too-many-readers',
    title: 'Too many readers follow the events',
    headers: { 'retry-after': String(RETRY_AFTER_SECONDS) },
  },
  provider_failed: { status: 502, slug: 'provider-failed', title: 'The provider did not do it' },
  too_large: { status: 413, slug: 'too-large', title: 'The body is too large' },
  unsupported_media_type: { status: 415, slug: 'unsupported-media-type', title: 'The media type is not supported' },
  // Closes the connection, since the sender may send the body or not.
  expectation_failed: {
    status: 417,
    slug: 'expectation-failed',
    title: 'The expectation is not known here',
    headers: { connection: 'close' },
  },
  foreign_host: { status: 421, slug: 'foreign-host', title: 'Not served under this host name' },
  insecure: {
    status: 426,
    slug: 'https-required',
    title: 'HTTPS is required',
    headers: { upgrade: 'TLS/1.2, HTTP/1.1', connection: 'Upgrade, close' },
  },
  headers_too_large: { status: 431, slug: 'headers-too-large', title: 'The headers are too large' },
  error: { status: 500, slug: 'internal', title: 'Internal error' },
  body_corrupt: { status: 500, slug: 'body-corrupt', title: 'The stored body no longer matches its checksum' },
  unavailable,
}

export const PROBLEM_MEDIA_TYPE = 'application/problem+json'

export const statusOf = (code: ProblemCode): number => PROBLEMS[code].status

export interface ProblemDetails {
  /** For the client: holds only what it sent or may know. */
  readonly detail?: string
  readonly reasons?: readonly string[]
  readonly headers?: Readonly<Record<string, string>>
}

function bodyOf({ slug, title, status }: Problem, { detail, reasons }: ProblemDetails): string {
  const problem: ProblemJson = {
    type: `urn:holdfast:problem:${slug}`,
    title,
    status,
    ...(detail !== undefined && { detail }),
    ...(reasons !== undefined && { reasons: [...reasons] }),
  }
  return JSON.stringify(problem)
}

const problems = new WeakMap<FastifyRequest, string>()

/** The end of the `type` of the problem with which the request was answered; undefined: it was not answered with one. */
export const problemOf = (request: FastifyRequest): string | undefined => problems.get(request)

/** Notes that the caller answers the request with this problem in a form of its own. Gives the status. */
export function noteProblem(request: FastifyRequest, code: ProblemCode): number {
  const { slug, status } = PROBLEMS[code]
  problems.set(request, slug)
  return status
}

/** Answers with an RFC 9457 problem. Sent as bytes: to text, Fastify would add a charset, which this media type does not have. */
export function sendProblem(reply: FastifyReply, code: ProblemCode, details: ProblemDetails = {}): FastifyReply {
  const problem = PROBLEMS[code]
  problems.set(reply.request, problem.slug)
  return reply
    .code(problem.status)
    .headers({
      ...(!isBounded(reply.request.raw) && { connection: 'close' }),
      ...problem.headers,
      ...details.headers,
    })
    .header('content-type', PROBLEM_MEDIA_TYPE)
    .header('cache-control', 'no-store')
    .header('x-content-type-options', 'nosniff')
    .header('x-request-id', reply.request.id)
    .send(Buffer.from(bodyOf(problem, details)))
}

/** The same answer as text for a socket, if the client's bytes were no valid request. */
export function problemMessage(code: ProblemCode): string {
  const problem = PROBLEMS[code]
  const body = bodyOf(problem, {})
  const head = [
    `HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status]}`,
    `Content-Type: ${PROBLEM_MEDIA_TYPE}`,
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Cache-Control: no-store',
    'Connection: close',
  ]
  return `${head.join('\r\n')}\r\n\r\n${body}`
}

interface ValidationFault {
  readonly instancePath: string
  readonly keyword: string
  readonly message?: string
  readonly params: Readonly<Record<string, unknown>>
}

/** The fields of Fastify's errors that decide the answer. */
interface FrameworkError extends Error {
  readonly code?: string
  readonly statusCode?: number
  readonly validation?: readonly ValidationFault[]
  readonly validationContext?: string
}

/** Answers with a problem if the handling of a request throws. Logs an unexpected error. */
export const createErrorHandler = (log: Logger) => (thrown: unknown, request: FastifyRequest, reply: FastifyReply) => {
  const error = thrown as FrameworkError
  const code = codeOf(error)
  if (code === 'unavailable') log.warn({ reqId: request.id, error: error.message }, 'request refused')
  else if (isOurError(code)) log.error({ err: error, reqId: request.id }, 'request failed')
  const detail = detailOf(code, error, request)
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

/** Whether the service itself failed. A provider's failure does not count: the caller gets its message, which contains no secret. */
const isOurError = (code: ProblemCode): boolean => statusOf(code) >= 500 && code !== 'provider_failed'

/** Only what concerns the caller's request: the message of the service's own error appears only in the log. */
function detailOf(code: ProblemCode, error: FrameworkError, { query }: FastifyRequest): string | undefined {
  if (isOurError(code)) return undefined
  if (isHoldfastError(error)) return error.message
  const fault = error.validation?.[0]
  if (fault === undefined) return undefined
  if (fault.params.format === 'date-time') return describeTime(fault, query, error.validationContext)
  return describe(fault, error.validationContext)
}

function describeTime(fault: ValidationFault, query: unknown, context: string | undefined): string {
  const text = describe({ ...fault, message: 'must be a time as 2026-11-03T04:00:00Z (RFC 3339)' }, context)
  const given = context === 'querystring' ? (query as Record<string, unknown>)[fault.instancePath.slice(1)] : undefined
  const hasLostPlus = typeof given === 'string' && LOST_PLUS.test(given)
  return hasLostPlus ? `${text}; a + in a URL stands for a space: write %2B in its place` : text
}

/** A time whose + became a space. */
const LOST_PLUS = /:\d\d(?:\.\d+)? \d\d:?\d\d$/

function describe({ instancePath, keyword, message, params }: ValidationFault, context = 'request'): string {
  const kind = context === 'querystring' ? 'query parameter' : `${context} property`
  if (keyword === 'additionalProperties') return `unknown ${kind} ${String(params.additionalProperty)}`
  const allowed = Array.isArray(params.allowedValues) ? `: ${params.allowedValues.join(', ')}` : ''
  const place = instancePath === '' ? `the ${context}` : `${kind} ${instancePath.slice(1).replaceAll('/', '.')}`
  return `${place} ${message ?? 'is not valid'}${allowed}`
}
