/** What stands in place of a secret. */
export const REPLACEMENT = '[redacted]'
/** A shorter one stands in too many words to be taken out of them. */
const MIN_LENGTH = 6
/** Control and format characters, by which a text could be made to look like another. */
const INVISIBLE = /[\p{Cc}\p{Cf}]+/gu

/**
 * Takes these out of a text, in either case, as they are and as they may have been encoded on the way: for a URL, as base64
 * or as hex. Where one is too short for that, nothing of the text is left. A text that holds none comes back as it is.
 */
export function redactor(secrets: readonly (string | undefined)[]): (text: string) => string {
  const given = secrets.filter((secret): secret is string => secret !== undefined && secret !== '')
  const variants = [...new Set(given.flatMap(spellings))].toSorted((one, other) => other.length - one.length)
  const isShort = given.some((secret) => secret.length < MIN_LENGTH)
  const inBase64 = new Set(given.flatMap(withoutScheme).flatMap(base64Spellings))
  const forms = variants.map((each) =>
    inBase64.has(each) ? `${BASE64_BEFORE}${RegExp.escape(each)}${BASE64_AFTER}` : RegExp.escape(each),
  )
  const pattern = new RegExp(forms.join('|') || '(?!)', 'gi')
  return (text) => {
    if (isShort) return given.some((secret) => text.includes(secret)) ? REPLACEMENT : text
    const visible = text.replace(INVISIBLE, '')
    return visible.search(pattern) < 0 ? text : visible.replace(pattern, REPLACEMENT)
  }
}

/** What of a secret's ends stands in base64 beside the part that is looked for. */
const BASE64_BEFORE = '[\\w+/-]{0,4}'
const BASE64_AFTER = '[\\w+/-]{0,3}={0,2}'

const withoutScheme = (secret: string): readonly string[] =>
  secret.startsWith('whsec_') ? [secret, secret.slice('whsec_'.length)] : [secret]

const base64Spellings = (text: string): readonly string[] => [...base64(text), ...base64(`Bearer ${text}`)]

/** A secret as it may have been written on the way, and the key that it stands for. */
export function spellings(secret: string): readonly string[] {
  const plain = withoutScheme(secret)
  const written = plain.flatMap((text) => [
    text,
    text.replace(/=+$/, ''),
    encodeURIComponent(text),
    JSON.stringify(text).slice(1, -1),
    // Node hands header bytes over as Latin-1.
    Buffer.from(text, 'utf8').toString('latin1'),
    hex(Buffer.from(text)),
    ...base64Spellings(text),
  ])
  return [...written, ...plain.flatMap(keySpellings)]
}

/** Bytes of a key below which its encodings stand in too many words. */
const MIN_KEY_BYTES = 16

function keySpellings(text: string): readonly string[] {
  const key = Buffer.from(text, /^[0-9a-f]+$/i.test(text) ? 'hex' : 'base64')
  if (key.length < MIN_KEY_BYTES || !/^[\w+/-]+={0,2}$/.test(text)) return []
  return [hex(key), key.toString('base64').replace(/=+$/, ''), key.toString('base64url')]
}

const hex = (bytes: Buffer): string => bytes.toString('hex')

/** As much of it as does not depend on what stands before and after. */
const base64 = (text: string): readonly string[] =>
  [0, 1, 2]
    .flatMap((offset) => {
      const bytes = Buffer.concat([Buffer.alloc(offset), Buffer.from(text)])
      const whole = bytes.subarray(0, bytes.length - (bytes.length % 3))
      return (['base64', 'base64url'] as const).map((form) => whole.toString(form).slice(offset === 0 ? 0 : 4))
    })
    .filter((each) => each.length >= MIN_LENGTH)
