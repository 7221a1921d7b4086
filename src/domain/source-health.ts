import type { RequestOutcome } from './telemetry.ts'

/** Whether a source's webhooks come, and are accepted: judged from what all replicas have received. */
export interface SourceHealth {
  /** When the last authentic webhook came; exact to a minute if another replica received it. Undefined: none is known of. */
  readonly lastWebhookAtMs: number | undefined
  /** Half of the gaps between its webhooks are not longer; undefined: not known yet. */
  readonly usualGapMs: number | undefined
  /** Since when it has been silent, if that is longer than usual or than expected. */
  readonly silentSinceMs: number | undefined
  /** Since when its requests are refused, if nothing or hardly anything else comes. */
  readonly refusingSinceMs: number | undefined
  /** Why, most often. */
  readonly refusingReason: RequestOutcome | undefined
}

/** How long a source may be silent (ms), or `learned` from its own rhythm, or `off`: for any time. */
export type ExpectEvery = number | 'learned' | 'off'
