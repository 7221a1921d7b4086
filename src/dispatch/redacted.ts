import type { ErrorDetail } from '../domain/errors.ts'
import type { Ran } from './pool/run.ts'

/** The same without secrets: what a handler throws may repeat a URL, a header or a key that it was given. */
export function redacted(ran: Ran, redact: (text: string) => string): Ran {
  if (ran.outcome === 'succeeded' || ran.error === undefined) return ran
  if (!('detail' in ran) || ran.detail === undefined) return { ...ran, error: redact(ran.error) }
  return { ...ran, error: redact(ran.error), detail: redactedDetail(ran.detail, redact) }
}

const redactedDetail = (detail: ErrorDetail, redact: (text: string) => string): ErrorDetail => ({
  name: redact(detail.name),
  message: redact(detail.message),
  ...(detail.code !== undefined && { code: redact(detail.code) }),
  ...(detail.stack !== undefined && { stack: detail.stack.map(redact) }),
  ...(detail.cause !== undefined && { cause: redactedDetail(detail.cause, redact) }),
  ...(detail.errors !== undefined && { errors: detail.errors.map((part) => redactedDetail(part, redact)) }),
})
