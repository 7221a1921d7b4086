import { MAX_SIGNATURE_CANDIDATES } from '../domain/limits.ts'
import type { HmacScheme } from '../domain/provider.ts'

export interface Candidates {
  /** Signatures of an accepted label, decoded. */
  readonly signatures: readonly Buffer[]
  /** The first value of the timestamp's label, where it stands among the signatures. */
  readonly timestamp: string | undefined
}

/**
 * Takes a signature header apart: a list of entries, each with or without a label. A header that was sent several times
 * arrives as one, joined by ", ". Undefined when there are too many entries, or those of an accepted label are no signatures.
 */
export function candidatesIn(
  header: string,
  form: HmacScheme['signature'],
  timestampLabel: string | undefined,
): Candidates | undefined {
  const { encoding, labelSeparator } = form
  const signatures: Buffer[] = []
  let timestamp: string | undefined
  let entries = 0
  let isUnreadable = false
  for (const text of entriesIn(header, form.separator)) {
    const entry = text.trim()
    if (entry === '') continue
    const at = labelSeparator === undefined ? -1 : entry.indexOf(labelSeparator)
    const label = at < 0 ? '' : entry.slice(0, at)
    const value = at < 0 ? entry : entry.slice(at + (labelSeparator?.length ?? 0))
    if (at >= 0 && label === timestampLabel) {
      timestamp ??= value
      continue
    }
    if (++entries > MAX_SIGNATURE_CANDIDATES) return undefined
    if (labelSeparator !== undefined && !form.labels?.includes(label)) continue
    const signature = decodeSignature(value, encoding)
    if (signature === undefined) isUnreadable = true
    else signatures.push(signature)
  }
  return isUnreadable && signatures.length === 0 ? undefined : { signatures, timestamp }
}

/** A timestamp, the candidates, and the one that shows that there are too many. */
const MAX_ENTRIES = MAX_SIGNATURE_CANDIDATES + 2

function entriesIn(header: string, separator: string | undefined): readonly string[] {
  const lines = header.includes(', ') ? header.split(', ', MAX_ENTRIES) : [header]
  if (separator === undefined) return lines
  return lines.length === 1
    ? header.split(separator, MAX_ENTRIES)
    : lines.flatMap((line) => line.split(separator, MAX_ENTRIES))
}

/**
 * Strict: nothing that Buffer would pass over, and in base64 no bits that it would drop, so that no second text stands
 * for the same signature. Hex may be of either case.
 */
function decodeSignature(text: string, encoding: 'hex' | 'base64'): Buffer | undefined {
  const bytes = Buffer.from(text, encoding)
  const isCanonical = bytes.toString(encoding) === (encoding === 'hex' ? text.toLowerCase() : text)
  return isCanonical && bytes.length > 0 ? bytes : undefined
}
