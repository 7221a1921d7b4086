import type { Logger } from 'pino'
import type { Clock } from '../domain/clock.ts'
import type { Settlement, Work } from '../domain/delivery.ts'
import type { Telemetry } from '../domain/telemetry.ts'

/** Tells the metrics and the log what an attempt came to. */
export function report(
  { event, handler, attempt }: Work,
  { verdict, outcome, durationMs, dueAtMs, error, detail, quarantine }: Settlement,
  { telemetry, log, clock }: { readonly telemetry: Telemetry; readonly log: Logger; readonly clock: Clock },
): void {
  const about = {
    uid: event.uid,
    source: event.source,
    type: event.type,
    handler,
    attempt,
    outcome,
    duration_ms: durationMs,
  }
  if (verdict === 'succeeded') {
    telemetry.processed(event.source, event.type, handler, durationMs / 1000)
    log.debug(about, 'event handled')
    return
  }
  if (verdict === 'released') {
    log.info({ ...about, error }, 'attempt given back')
    return
  }
  telemetry.failed(event.source, event.type, handler, durationMs / 1000)
  if (quarantine !== undefined) {
    log.warn({ ...about, reasons: quarantine }, 'event quarantined')
    return
  }
  const why = { error, ...(detail !== undefined && { error_detail: detail }) }
  if (verdict === 'dead') log.error({ ...about, ...why }, 'delivery dead')
  else log.warn({ ...about, ...why, retry_in_ms: dueAtMs - clock() }, 'attempt failed')
}
