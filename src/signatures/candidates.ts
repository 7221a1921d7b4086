import { MAX_SIGNATURE_CANDIDATES } from '../domain/limits.ts'
import type { HmacScheme } from '../domain/provider.ts'
import { decodeBase64, decodeHex } from './secrets.ts'

export interface Candidates {
  /** Signatures of an accepted label, decoded. */
  readonly signatures: readonly Buffer[]
  /** Every label's first value, for a timestamp that stands among the signatures. */
  readonly labelled: ReadonlyMap<string, string>
}

/**
 * Takes a signature header apart: a list of entries, each with or without a label. A header that was sent several times
 * arrives as one, joined by ", ". Undefined when there are too many entries, or those of an accepted label are no signatures.
 */
export function candidatesIn(header: string, form: HmacScheme['signature']): Candidates | undefined {
  const signatures: Buffer[] = []
  const labelled = new Map<string, string>()
  let unreadable = false
  const entries = entriesOf(header, form.separator)
  if (entries.length > MAX_SIGNATURE_CANDIDATES) return undefined
  for (const entry of entries) {
    const at = form.labelSeparator === undefined ? -1 : entry.indexOf(form.labelSeparator)
    const label = at < 0 ? '' : entry.slice(0, at)
    const value = at < 0 ? entry : entry.slice(at + (form.labelSeparator?.length ?? 0))
    if (!labelled.has(label)) labelled.set(label, value)
    if (form.labelSeparator !== undefined && !(form.labels ?? []).includes(label)) continue
    const signature = form.encoding === 'hex' ? decodeHex(value) : decodeBase64(value)
    if (signature === undefined) unreadable = true
    else signatures.push(signature)
  }
  if (unreadable && signatures.length === 0) return undefined
  return { signatures, labelled }
}

function entriesOf(header: string, separator: string | undefined): readonly string[] {
  const lines = header.includes(', ') ? header.split(', ') : [header]
  return lines
    .flatMap((line) => (separator === undefined ? [line] : line.split(separator, MAX_SIGNATURE_CANDIDATES + 1)))
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '')
}
