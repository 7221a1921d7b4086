/** Characters of a Content-Type header; longer is no media type. Bounds the expression below, too. */
const MAX_LENGTH = 256

const TOKEN = "[\\w!#$%&'*+.^`|~-]+"
const QUOTED = '"(?:[^"\\\\]|\\\\.)*"'
/** RFC 9110 §8.3.1, whole: a type, and parameters that are well-formed. */
const MEDIA_TYPE = new RegExp(
  `^(${TOKEN}/${TOKEN})(?:[ \\t]*;[ \\t]*${TOKEN}=(?:${TOKEN}|${QUOTED}))*[ \\t]*;?[ \\t]*$`,
)

/**
 * Tells whether a Content-Type header is one of these media types. Parameters do not matter, but a header that does
 * not follow the grammar to its end is none of them: parsers that stop half-way have let bodies pass for what they are
 * not. An absent or empty header is accepted: some providers send none.
 */
export function acceptsMediaTypes(mediaTypes: readonly string[]): (header: string | undefined) => boolean {
  const accepted = new Set(mediaTypes.map((mediaType) => mediaType.toLowerCase()))
  return (header) => {
    if (header === undefined || header === '' || accepted.has(header)) return true
    if (header.length > MAX_LENGTH) return false
    const mediaType = MEDIA_TYPE.exec(header)?.[1]
    return mediaType !== undefined && accepted.has(mediaType.toLowerCase())
  }
}
