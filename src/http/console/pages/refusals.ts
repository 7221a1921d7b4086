import { HOUR_MS } from '../../../domain/clock.ts'
import type { StatNumbers } from '../../../domain/stats.ts'
import type { RequestOutcome } from '../../../domain/telemetry.ts'
import { type Html, html, NOTHING, own } from '../html/html.ts'
import { show } from '../html/show.ts'
import { table } from '../html/table.ts'
import { time, whole } from '../html/words.ts'
import type { ConsolePorts } from '../ports.ts'
import { inTime } from '../recent.ts'
import { lastWebhookOf, RELOAD, type SeenSource } from './source-state.ts'

const MINUTE_SECONDS = 60
const MINUTE_MS = 60_000

interface Refusal {
  readonly means: string
  readonly mend: string
  /** It takes effect with a reload. */
  readonly isSetting?: true
}

const TIME: Refusal = {
  means: 'Signed, but at a time outside of the window that the provider gives.',
  mend: 'Compare the clock of this machine with NTP. If only some are late, a proxy in front holds requests back.',
}

/** What each reason means, and how it is mended; `SOURCE` stands for the prefix of the source's variables. */
const REFUSALS: Readonly<Partial<Record<RequestOutcome, Refusal>>> = {
  signature_mismatch: {
    means: 'Signed, but by none of the secrets here; or a proxy has changed the body.',
    mend: "Put the provider's present secret first in SOURCE_SECRET, the old one after a comma.",
    isSetting: true,
  },
  timestamp_stale: TIME,
  signature_missing: {
    means: 'Not signed: a scanner, a test by hand, or a proxy that drops the header.',
    mend: "Nothing to do if others arrive. Otherwise look whether a proxy passes the signature's header on.",
  },
  signature_malformed: {
    means: 'The signature has not the form of this provider: mostly another sender.',
    mend: 'Look whether the provider of this source is the right one (SOURCE_PROVIDER).',
  },
  malformed: {
    means: 'Not a well-formed request, or its secret could not be read.',
    mend: 'Look at the log: it names each.',
  },
  method_not_allowed: {
    means: 'Not a POST: mostly a browser, or a check of a monitor.',
    mend: 'Point monitors at /livez.',
  },
  timeout: {
    means: 'The request did not arrive whole in 15 seconds.',
    mend: 'Look at the network and the proxy in front.',
  },
  too_large: {
    means: 'The body is longer than BODY_LIMIT_BYTES.',
    mend: 'Raise BODY_LIMIT_BYTES, and the limit of the proxy.',
    isSetting: true,
  },
  unsupported_media_type: {
    means: 'Compressed, or of a content type that this provider does not send.',
    mend: 'Choose JSON at the provider; GitHub has the choice in its form.',
  },
  expectation_failed: { means: 'An Expect header that is not 100-continue.', mend: 'Only other programs send it.' },
  insecure: {
    means: 'Not over https, which REQUIRE_HTTPS asks for.',
    mend: 'Name the proxy in TRUST_PROXY, or register the https URL.',
  },
  unavailable: {
    means: 'The service could not store: its store, overload, its clock, or a stop. The provider sends it again.',
    mend: 'Look at the overview.',
  },
  error: { means: 'A fault in Holdfast. The provider sends it again.', mend: 'The log has the error.' },
}

const UNKNOWN: Refusal = { means: 'Refused.', mend: 'The log names each.' }

export const refusedIn = ({ refused }: StatNumbers): number =>
  [...refused.values()].reduce((sum, each) => sum + each, 0)

/** When requests were last refused for each reason, to the minute. What the store does not tell in time is left out. */
export async function lastRefusals(
  { source: { name }, day }: SeenSource,
  { stats }: Pick<ConsolePorts, 'stats'>,
): Promise<ReadonlyMap<RequestOutcome, number>> {
  const hours = [...new Set(day?.refusedLastMs.values())]
  const reports = await inTime(
    Promise.all(
      hours.map((sinceMs) => stats({ source: name, sinceMs, untilMs: sinceMs + HOUR_MS, stepSeconds: MINUTE_SECONDS })),
    ),
  )
  const last = new Map<RequestOutcome, number>()
  for (const { atMs, refused } of (reports ?? []).flatMap(({ points }) => points))
    for (const reason of refused.keys()) last.set(reason, Math.max(atMs, last.get(reason) ?? 0))
  return last
}

/** Nothing is left to do about refusals that were longer ago than this, if webhooks were accepted since. */
const OVER_MS = 10 * MINUTE_MS

/** Requests of the last 24 hours that were refused, by reason. `lastMs`: as `lastRefusals` says. */
export function refusalsOf(seen: SeenSource, lastMs: ReadonlyMap<RequestOutcome, number>, nowMs: number): Html {
  const { day, health, setup } = seen
  const { variable, missed } = setup
  // It may not be among the numbers yet.
  const now = health.refusingReason
  const refused = new Map<RequestOutcome, number>(day?.total.refused)
  if (now !== undefined && !refused.has(now)) refused.set(now, 0)
  const rows = [...refused].toSorted(([, one], [, other]) => other - one)
  if (rows.length === 0) return NOTHING
  return html`<section aria-labelledby="refusals"><h2 id="refusals">Refused in 24 hours</h2>${table({
    caption: 'Requests refused in the last 24 hours, by reason, with what to do',
    rows,
    columns: [
      { title: 'Reason', kind: 'short', cell: ([reason]) => html`<b>${own(reason.replaceAll('_', ' '))}</b>` },
      { title: 'Number', kind: 'number', onPhone: 'end', cell: ([, count]) => own(count === 0 ? '–' : whole(count)) },
      {
        title: 'Last',
        kind: 'short',
        onPhone: 'end',
        cell: ([reason]) => {
          const atMs = lastMs.get(reason)
          return atMs === undefined ? own('–') : html`<span class="label">last </span>${time(atMs, nowMs, 'minutes')}`
        },
      },
      {
        title: 'What it means',
        onPhone: 'wide',
        cell: ([reason]) => own((REFUSALS[reason] ?? UNKNOWN).means),
      },
      {
        title: 'What to do',
        onPhone: 'wide',
        cell: ([reason]) => (isOver(seen, lastMs.get(reason), nowMs) ? OVER : mendingOf(reason, variable)),
      },
    ],
    foot: html`<div class="foot"><span>Refused requests are not stored. ${missed === undefined ? own('Whether it is sent again depends on the sender: most do that for some hours.') : show(missed, 400)}</span></div>`,
  })}</section>`
}

const OVER = html`<span class="muted">Nothing: none since, and webhooks were accepted.</span>`

function isOver(seen: SeenSource, lastMs: number | undefined, nowMs: number): boolean {
  const acceptedAtMs = lastWebhookOf(seen)
  const isAccepted = lastMs !== undefined && acceptedAtMs !== undefined && acceptedAtMs >= lastMs + MINUTE_MS
  return isAccepted && seen.health.refusingSinceMs === undefined && nowMs - lastMs >= OVER_MS
}

function mendingOf(reason: RequestOutcome, variable: string): Html {
  const { mend, isSetting } = REFUSALS[reason] ?? UNKNOWN
  const words = own(mend.replaceAll('SOURCE', variable))
  return isSetting === true ? html`${words} Then ${RELOAD}.` : words
}
