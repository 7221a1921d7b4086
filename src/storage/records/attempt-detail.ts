import type { Settlement } from '../../domain/delivery.ts'
import type { ErrorDetail } from '../../domain/errors.ts'

/** What is kept of an attempt beside its error, in one JSON object: all that was thrown, and the judgement that ended it. */
export function storedDetail({ detail, judgement }: Pick<Settlement, 'detail' | 'judgement'>): string | null {
  if (detail === undefined && judgement === undefined) return null
  return JSON.stringify({ ...detail, ...(judgement !== undefined && { judgement }) })
}

/** The part of it that is shown. */
export function shownDetail(stored: string | null): { readonly errorDetail?: ErrorDetail } {
  if (stored === null) return {}
  const { judgement: _, ...detail } = JSON.parse(stored) as ErrorDetail & { readonly judgement?: string }
  return 'name' in detail ? { errorDetail: detail } : {}
}
