/**
 * Text in PostgreSQL can hold any character but NUL. NUL is stored as U+E000 and 0, and U+E000 itself as U+E000 and 1, so that
 * two different strings never have the same stored form. An unpaired surrogate, which UTF-8 cannot hold, is stored as U+FFFD.
 */
const ESCAPE = '\ue000'
const ESCAPED = /[\0\ue000]/
const ALL_ESCAPED = /[\0\ue000]/g

export function escapeText(value: string): string {
  const wellFormed = value.isWellFormed() ? value : value.toWellFormed()
  if (!ESCAPED.test(wellFormed)) return wellFormed
  return wellFormed.replace(ALL_ESCAPED, (character) => (character === ESCAPE ? `${ESCAPE}1` : `${ESCAPE}0`))
}

export function unescapeText(text: string): string {
  if (!text.includes(ESCAPE)) return text
  return text.replaceAll(`${ESCAPE}0`, '\0').replaceAll(`${ESCAPE}1`, ESCAPE)
}

export const escapeTextOrNull = (value: string | undefined | null): string | null =>
  value === undefined || value === null ? null : escapeText(value)

const UUID = /^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/i

/** PostgreSQL rejects the comparison of a `uuid` column with any other text. */
export const isUuid = (text: string): boolean => UUID.test(text)
