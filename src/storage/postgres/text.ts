/**
 * PostgreSQL's text holds any character but NUL. Here NUL is written as U+E000 and 0, and U+E000 itself as U+E000 and 1, so
 * that every string has one form of its own. An unpaired surrogate, which no UTF-8 has, becomes U+FFFD as everywhere.
 */
const ESCAPE = '\ue000'
const ESCAPED = /[\0\ue000]/
const ALL_ESCAPED = /[\0\ue000]/g

export function toText(value: string): string {
  const wellFormed = value.isWellFormed() ? value : value.toWellFormed()
  if (!ESCAPED.test(wellFormed)) return wellFormed
  return wellFormed.replace(ALL_ESCAPED, (character) => (character === ESCAPE ? `${ESCAPE}1` : `${ESCAPE}0`))
}

export function fromText(text: string): string {
  if (!text.includes(ESCAPE)) return text
  return text.replaceAll(`${ESCAPE}0`, '\0').replaceAll(`${ESCAPE}1`, ESCAPE)
}

export const toTextOrNull = (value: string | undefined | null): string | null =>
  value === undefined || value === null ? null : toText(value)

const UUID = /^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/i

/** Whether a text can be compared with a uid at all. */
export const isUuid = (text: string): boolean => UUID.test(text)
