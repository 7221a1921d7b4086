import {
  BACKSLASH,
  CLOSE_BRACE,
  CLOSE_BRACKET,
  COLON,
  COMMA,
  isSpace,
  OPEN_BRACE,
  OPEN_BRACKET,
  parseJson,
  QUOTE,
} from '../domain/json.ts'

/** Levels of objects that are kept, with the outermost one. */
const MAX_KEPT_DEPTH = 4
/** Bytes of a string, number, literal or name that is kept. */
const MAX_TOKEN_BYTES = 1_024

/** `first`: a name, or the end of an object that has none. */
type Expected = 'value' | 'first' | 'name' | 'colon' | 'comma'

/**
 * Reads JSON of any length as it comes in, and keeps what a status is read from: the objects of the first levels, with their
 * short strings, numbers and literals. Long strings and arrays are left out. Takes linear time and bounded memory, whatever
 * the input.
 */
export class Outline {
  readonly #budget = new OutlineBudget()
  #places: OpenObject[] = []
  /** Depth inside a container that is skipped; 0: not inside one. */
  #skippedDepth = 0
  /** Inside a string of a skipped container. */
  #inString = false
  /** The last byte of what came before was a backslash that escapes the next. */
  #isEscaped = false
  #expected: Expected = 'value'
  /** Undefined: the name is longer than is kept. */
  #name: string | undefined = ''
  #token: Token | undefined
  #root: object | undefined
  #state: 'reading' | 'whole' | 'broken' = 'reading'

  /** False: reads no more, because the text is complete, or no JSON. */
  push(chunk: Buffer): boolean {
    for (let at = 0; at < chunk.length && this.#state === 'reading'; ) at = this.#step(chunk, at)
    return this.#state === 'reading'
  }

  /** What is kept of a complete text, or of one that is cut off here; undefined where it is no object. */
  kept(): { readonly value: object; readonly omitted: readonly string[] } | undefined {
    if (this.#root === undefined || this.#state === 'broken') return undefined
    return { value: this.#root, omitted: this.#budget.omitted }
  }

  /** Gives where to go on. */
  #step(chunk: Buffer, at: number): number {
    const token = this.#token
    if (token !== undefined) {
      const end = token.read(chunk, at)
      if (!token.isOver) return end
      this.#token = undefined
      this.#ended(token)
      return end
    }
    if (this.#skippedDepth > 0) return this.#skip(chunk, at)
    const byte = chunk[at] ?? 0
    if (byte === QUOTE) this.#token = new Token('string')
    else if (!isSpace(byte) && !this.#mark(byte)) {
      this.#token = new Token('bare')
      return at
    }
    return at + 1
  }

  /** Skips to the end of the container, or of the chunk. */
  #skip(chunk: Buffer, from: number): number {
    // Local variables are several times as fast as fields here, and this loop sees most bytes.
    let [depth, inString] = [this.#skippedDepth, this.#inString]
    let at = this.#isEscaped ? from + 1 : from
    for (; at < chunk.length && depth > 0; at++) {
      const byte = chunk[at]
      if (inString) {
        if (byte === BACKSLASH) at++
        else if (byte === QUOTE) inString = false
      } else if (byte === QUOTE) inString = true
      else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) depth++
      else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) depth--
    }
    this.#isEscaped = at > chunk.length
    this.#skippedDepth = depth
    this.#inString = inString
    return Math.min(at, chunk.length)
  }

  /** A byte that is a token of its own; false: it begins a number or a literal. */
  #mark(byte: number): boolean {
    if (byte === OPEN_BRACE || byte === OPEN_BRACKET) this.#open(byte === OPEN_BRACE)
    else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) this.#close(byte === CLOSE_BRACE)
    else if (byte === COMMA) this.#expect('comma', 'name')
    else if (byte === COLON) this.#expect('colon', 'value')
    else return false
    return true
  }

  #open(isObject: boolean): void {
    const depth = this.#places.length
    const isKept = depth === 0 || (isObject && depth < MAX_KEPT_DEPTH && this.#name !== undefined)
    if (this.#expected !== 'value' || (depth === 0 && !isObject)) {
      this.#state = 'broken'
      return
    }
    if (!isKept) {
      this.#skippedDepth = 1
      this.#leaveOut()
      return
    }
    // Without a prototype, so that no name is anything but a name.
    const value: OpenObject['value'] = Object.create(null)
    if (depth === 0) this.#root = value
    else this.#put(value, 0)
    this.#places.push({ name: this.#name ?? '', value })
    this.#expected = 'first'
  }

  #close(isObject: boolean): void {
    if (!isObject || (this.#expected !== 'comma' && this.#expected !== 'first')) {
      this.#state = 'broken'
      return
    }
    this.#places.pop()
    this.#expected = 'comma'
    if (this.#places.length === 0) this.#state = 'whole'
  }

  #expect(expected: Expected, next: Expected): void {
    if (this.#expected === expected) this.#expected = next
    else this.#state = 'broken'
  }

  #ended({ bytes, kind }: Token): void {
    if ((this.#expected === 'name' || this.#expected === 'first') && kind === 'string') {
      const name = bytes && parsed(bytes)
      if (bytes !== undefined && typeof name !== 'string') this.#state = 'broken'
      this.#name = typeof name === 'string' ? name : undefined
      this.#expected = 'colon'
    } else if (this.#expected === 'value' && this.#places.length > 0) {
      const value = bytes && parsed(bytes)
      if (bytes !== undefined && value === undefined) this.#state = 'broken'
      else if (bytes === undefined) this.#leaveOut()
      else this.#put(value, bytes.length)
    } else this.#state = 'broken'
  }

  #put(value: unknown, bytes: number): void {
    const [place] = this.#places.slice(-1)
    const name = this.#name
    if (place === undefined || name === undefined) this.#leaveOut()
    else if (this.#budget.allows(this.#places.length, name.length + bytes)) place.value[name] = value
    else this.#leaveOut()
    this.#expected = 'comma'
  }

  #leaveOut(): void {
    this.#budget.leaveOut(this.#places, this.#name ?? '')
    this.#expected = 'comma'
  }
}

/** A string, or a number or literal, that may come in pieces. */
class Token {
  readonly kind: 'string' | 'bare'
  isOver = false
  readonly #pieces: Buffer[] = []
  #length = 0
  #isKept = true
  /** The last byte of what came before was a backslash that escapes the next. */
  #isEscaped = false

  constructor(kind: 'string' | 'bare') {
    this.kind = kind
  }

  /** The token as JSON; undefined: it is longer than is kept. */
  get bytes(): Buffer | undefined {
    if (!this.#isKept) return undefined
    const whole = Buffer.concat(this.#pieces)
    return this.kind === 'bare' ? whole : Buffer.concat([Buffer.from('"'), whole, Buffer.from('"')])
  }

  /** Gives where it ends, or the end of the chunk. */
  read(chunk: Buffer, from: number): number {
    const end = this.kind === 'string' ? this.#endOfString(chunk, from) : this.#endOfBare(chunk, from)
    if (this.#isKept && this.#length + end - from <= MAX_TOKEN_BYTES) {
      // A copy, or the whole chunk would stay in memory.
      if (end > from) this.#pieces.push(Buffer.from(chunk.subarray(from, end)))
      this.#length += end - from
    } else {
      this.#isKept = false
      this.#pieces.length = 0
    }
    return this.isOver && this.kind === 'string' ? end + 1 : end
  }

  #endOfString(chunk: Buffer, from: number): number {
    let at = this.#isEscaped ? from + 1 : from
    for (; at < chunk.length; at++) {
      const byte = chunk[at]
      if (byte === BACKSLASH) at++
      else if (byte === QUOTE) {
        this.isOver = true
        return at
      }
    }
    this.#isEscaped = at > chunk.length
    return chunk.length
  }

  #endOfBare(chunk: Buffer, from: number): number {
    let at = from
    while (at < chunk.length) {
      const byte = chunk[at] ?? 0
      if (isSpace(byte) || byte === COMMA || byte === CLOSE_BRACE || byte === CLOSE_BRACKET || byte === COLON) {
        this.isOver = true
        break
      }
      at++
    }
    return at
  }
}

/** Undefined: it is no JSON. */
function parsed(bytes: Buffer): unknown {
  const { ok, ...rest } = parseJson(bytes)
  return ok && 'value' in rest ? rest.value : undefined
}

/** Bytes that are kept of the outermost object, and of all within it together. */
const OUTER_BYTES = 32_768
const INNER_BYTES = 16_384
/** Quotes and commas of one. */
const ENTRY_BYTES = 8
/** At most so many names of fields that were left out are kept, and so many characters of each. */
const MAX_OMITTED = 32
const MAX_PATH_LENGTH = 128

/** An object that is being read, and its name in the one around it. */
interface OpenObject {
  readonly name: string
  readonly value: Record<string, unknown>
}

/** How much may be kept, and the names of what was left out. Deep values take nothing from the share of the outermost ones. */
class OutlineBudget {
  readonly omitted: string[] = []
  #outerBytes = OUTER_BYTES
  #innerBytes = INNER_BYTES

  allows(depth: number, bytes: number): boolean {
    const cost = bytes + ENTRY_BYTES
    if (cost > (depth <= 1 ? this.#outerBytes : this.#innerBytes)) return false
    if (depth <= 1) this.#outerBytes -= cost
    else this.#innerBytes -= cost
    return true
  }

  /** `places`: the objects that the value stands in. */
  leaveOut(places: readonly OpenObject[], name: string): void {
    if (this.omitted.length >= MAX_OMITTED) return
    const path = [...places.slice(1).map((place) => place.name), name].join('.')
    this.omitted.push(path.slice(0, MAX_PATH_LENGTH))
  }
}
