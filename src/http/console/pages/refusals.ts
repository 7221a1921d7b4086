import type { StatNumbers } from '../../../domain/stats.ts'
import type { RequestOutcome } from '../../../domain/telemetry.ts'
import { type Html, html, NOTHING, own } from '../html/html.ts'
import { table } from '../html/table.ts'
import { whole } from '../html/words.ts'

interface Refusal {
  readonly means: string
  readonly mend: string
}

const TIME: Refusal = {
  means: 'Signed, but at a time outside of the window that the provider gives.',
  mend: 'Compare the clock of this machine with NTP. If only some are late, a proxy in front holds requests back.',
}

/** What each reason means, and how it is mended; `SOURCE` stands for the prefix of the source's variables. */
const REFUSALS: Readonly<Partial<Record<RequestOutcome, Refusal>>> = {
  signature_mismatch: {
    means: 'Signed, but by none of the secrets here; or a proxy has changed the body.',
    mend: "Put the provider's present secret first in SOURCE_SECRET, the old one after a comma, and reload.",
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

/**
 * Requests of the last 24 hours that were refused, by reason. `now`: the reason for which requests are refused now, which may not be
 * among the numbers yet.
 */
export function refusalsOf(total: StatNumbers | undefined, now: RequestOutcome | undefined, variable: string): Html {
  const refused = new Map<RequestOutcome, number>(total?.refused)
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
        title: 'What it means',
        onPhone: 'wide',
        cell: ([reason]) => own((REFUSALS[reason] ?? UNKNOWN).means),
      },
      {
        title: 'What to do',
        onPhone: 'wide',
        cell: ([reason]) => own((REFUSALS[reason] ?? UNKNOWN).mend.replaceAll('SOURCE', variable)),
      },
    ],
  })}</section>`
}
