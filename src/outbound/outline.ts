import { parseJson } from '../domain/json.ts'
import {
  BACKSLASH,
  CLOSE_BRACE,
  CLOSE_BRACKET,
  COLON,
  COMMA,
  OPEN_BRACE,
  OPEN_BRACKET,
  QUOTE,
} from '../domain/json-scan.ts'
import { Budget, type Place } from './outline-budget.ts'

/** Objects that are kept: the outermost one, and so many levels in all. */
const MAX_KEPT_DEPTH = 4
/** Bytes of a string, number, literal or name that is kept. */
const MAX_TOKEN_BYTES = 1_024

const isSpace = (byte: number): boolean => byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09

/** `first`: a name, or the end of an object that has none. */
type Expected = 'value' | 'first' | 'name' | 'colon' | 'comma'

/**
 * Reads JSON as it comes in, and keeps of it what tells how a thing stands, however long it is: the objects of its first
 * levels with their short strings, numbers and literals. Long strings and arrays are left out. Takes linear time and bounded
 * memory, whatever it is given.
 */
export class Outline {
  readonly #budget = new Budget()
  #places: Place[] = []
  /** Containers that are passed over; 0: what comes is kept. */
  #passedOver = 0
  /** In what is passed over. */
  #inString = false
  /** The last byte of what came before was a backslash that escapes the next. */
  #isEscaped = false
  #expected: Expected = 'value'
  /** Undefined: it is longer than is kept. */
  #name: string | undefined = ''
  #token: Token | undefined
  #root: object | undefined
  #state: 'reading' | 'whole' | 'broken' = 'reading'

  /** False: nothing more is read, since it is whole, or no JSON. */
  push(chunk: Buffer): boolean {
    for (let at = 0; at < chunk.length && this.#state === 'reading'; ) at = this.#step(chunk, at)
    return this.#state === 'reading'
  }

  /** What was kept, of a whole text or of one that was cut off here; undefined where it is no object. */
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
    if (this.#passedOver > 0) return this.#passOver(chunk, at)
    const byte = chunk[at] ?? 0
    if (byte === QUOTE) this.#token = new Token('string')
    else if (!isSpace(byte) && !this.#mark(byte)) {
      this.#token = new Token('bare')
      return at
    }
    return at + 1
  }

  /** To where the container that is passed over ends. */
  #passOver(chunk: Buffer, from: number): number {
    // Fields of an object cost several times as much, and this goes over each byte of what is longest.
    let [depth, inString] = [this.#passedOver, this.#inString]
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
    this.#passedOver = depth
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
      this.#passedOver = 1
      this.#leaveOut()
      return
    }
    // Without a prototype, so that no name is anything but a name.
    const value: Place['value'] = Object.create(null)
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

  /** Its JSON; undefined: it is longer than is kept. */
  get bytes(): Buffer | undefined {
    if (!this.#isKept) return undefined
    const whole = Buffer.concat(this.#pieces)
    return this.kind === 'bare' ? whole : Buffer.concat([Buffer.from('"'), whole, Buffer.from('"')])
  }

  /** Gives where it ends, or the end of the chunk. */
  read(chunk: Buffer, from: number): number {
    const end = this.kind === 'string' ? this.#endOfString(chunk, from) : this.#endOfBare(chunk, from)
    if (this.#isKept && this.#length + end - from <= MAX_TOKEN_BYTES) {
      // A copy: the chunk is not to outlive what is kept of it.
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
