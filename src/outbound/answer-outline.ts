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

/** `first`: the first name of an object, or the end of an empty object. */
type Expected = 'value' | 'first' | 'name' | 'colon' | 'comma'

/**
 * Reads JSON of any length piece by piece, and keeps the values from which a module may read a task's status: the objects of the
 * first levels, with their short strings, numbers and literals. Leaves out long strings and arrays. Takes linear time and bounded
 * memory for any input.
 */
export class Outline {
  readonly #budget = new OutlineBudget()
  /** The objects around the current byte, outermost first. */
  #open: OpenObject[] = []
  /** Depth inside an array or object that is skipped; 0: not inside one. */
  #skippedDepth = 0
  /** Inside a string of a skipped array or object. */
  #inString = false
  /** The last chunk ended with a backslash that escapes the next byte. */
  #isEscaped = false
  #expected: Expected = 'value'
  /** The name of the current member. Undefined: it is longer than `MAX_TOKEN_BYTES`. */
  #name: string | undefined = ''
  #token: Token | undefined
  #root: object | undefined
  #state: 'reading' | 'whole' | 'broken' = 'reading'

  /** Returns false if it needs no more chunks: the text is complete, or is no JSON. */
  push(chunk: Buffer): boolean {
    for (let at = 0; at < chunk.length && this.#state === 'reading'; ) at = this.#step(chunk, at)
    return this.#state === 'reading'
  }

  /** The outline of what was read so far, also if the text is not complete; undefined if it is no object. */
  kept(): { readonly value: object; readonly omitted: readonly string[] } | undefined {
    if (this.#root === undefined || this.#state === 'broken') return undefined
    return { value: this.#root, omitted: this.#budget.omitted }
  }

  /** Returns the position of the next step. */
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
    else if (!isSpace(byte) && !this.#punctuation(byte)) {
      this.#token = new Token('bare')
      return at
    }
    return at + 1
  }

  /** Skips to the end of the array or object, or of the chunk. */
  #skip(chunk: Buffer, from: number): number {
    // This loop reads most bytes, and local variables are several times as fast as fields.
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

  /** Reads a byte that is a token by itself. Returns false if the byte begins a number or a literal. */
  #punctuation(byte: number): boolean {
    if (byte === OPEN_BRACE || byte === OPEN_BRACKET) this.#begin(byte === OPEN_BRACE)
    else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) this.#close(byte === CLOSE_BRACE)
    else if (byte === COMMA) this.#expect('comma', 'name')
    else if (byte === COLON) this.#expect('colon', 'value')
    else return false
    return true
  }

  #begin(isObject: boolean): void {
    const depth = this.#open.length
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
    // Without a prototype, so that a name such as `__proto__` is an ordinary name.
    const value: OpenObject['value'] = Object.create(null)
    if (depth === 0) this.#root = value
    else this.#put(value, 0)
    this.#open.push({ name: this.#name ?? '', value })
    this.#expected = 'first'
  }

  #close(isObject: boolean): void {
    if (!isObject || (this.#expected !== 'comma' && this.#expected !== 'first')) {
      this.#state = 'broken'
      return
    }
    this.#open.pop()
    this.#expected = 'comma'
    if (this.#open.length === 0) this.#state = 'whole'
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
    } else if (this.#expected === 'value' && this.#open.length > 0) {
      const value = bytes && parsed(bytes)
      if (bytes !== undefined && value === undefined) this.#state = 'broken'
      else if (bytes === undefined) this.#leaveOut()
      else this.#put(value, bytes.length)
    } else this.#state = 'broken'
  }

  #put(value: unknown, bytes: number): void {
    const innermost = this.#open.at(-1)
    const name = this.#name
    if (innermost === undefined || name === undefined) this.#leaveOut()
    else if (this.#budget.allows(this.#open.length, name.length + bytes)) innermost.value[name] = value
    else this.#leaveOut()
    this.#expected = 'comma'
  }

  #leaveOut(): void {
    this.#budget.leaveOut(this.#open, this.#name ?? '')
    this.#expected = 'comma'
  }
}

/** A string, number or literal that may come in several chunks. */
class Token {
  readonly kind: 'string' | 'bare'
  isOver = false
  readonly #pieces: Buffer[] = []
  #length = 0
  #isKept = true
  /** The last chunk ended with a backslash that escapes the next byte. */
  #isEscaped = false

  constructor(kind: 'string' | 'bare') {
    this.kind = kind
  }

  /** The token as JSON; undefined: it is longer than `MAX_TOKEN_BYTES`. */
  get bytes(): Buffer | undefined {
    if (!this.#isKept) return undefined
    const whole = Buffer.concat(this.#pieces)
    return this.kind === 'bare' ? whole : Buffer.concat([Buffer.from('"'), whole, Buffer.from('"')])
  }

  /** Returns the position after the token, or the end of the chunk. */
  read(chunk: Buffer, from: number): number {
    const end = this.kind === 'string' ? this.#endOfString(chunk, from) : this.#endOfBare(chunk, from)
    if (this.#isKept && this.#length + end - from <= MAX_TOKEN_BYTES) {
      // A copy: a part of the chunk would keep the whole chunk in memory.
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

/** Undefined: the bytes are no JSON. */
function parsed(bytes: Buffer): unknown {
  const { ok, ...rest } = parseJson(bytes)
  return ok && 'value' in rest ? rest.value : undefined
}

/** Bytes that are kept of the outermost object's own members, and of all objects inside it together. */
const OUTER_BYTES = 32_768
const INNER_BYTES = 16_384
/** Bytes that each member costs beside its name and value: quotes, colon and comma. */
const ENTRY_BYTES = 8
/** The most left-out fields that are named, and characters of each name. */
const MAX_OMITTED = 32
const MAX_PATH_LENGTH = 128

/** An object that is being read, and its name in the object around it. */
interface OpenObject {
  readonly name: string
  readonly value: Record<string, unknown>
}

/** How much may be kept, and the names of what was left out. The outermost members and the deeper ones have separate budgets. */
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

  /** `around`: the objects around the value, outermost first. */
  leaveOut(around: readonly OpenObject[], name: string): void {
    if (this.omitted.length >= MAX_OMITTED) return
    const path = [...around.slice(1).map((object) => object.name), name].join('.')
    this.omitted.push(path.slice(0, MAX_PATH_LENGTH))
  }
}
