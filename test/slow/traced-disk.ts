import { type Call, isOf, isSync } from './trace.ts'

/** A change to a file that may not have reached the disk yet. */
interface Change {
  /** Place in the trace where it returned. */
  readonly at: number
  readonly apply: (file: Buffer) => Buffer
}

/** One file as a disk has it, by the calls that concern it: only what an fsync that began later covers is there for sure. */
export class TracedFile {
  readonly #name: string
  #durable: Buffer = Buffer.alloc(0)
  #pending: Change[] = []

  constructor(name: string) {
    this.#name = name
  }

  hear(call: Call): void {
    if (!isOf(call, this.#name)) return
    if (isSync(call)) this.#sync(call.began)
    else if (call.name === 'ftruncate') this.#truncate(call)
    else if (call.name === 'pwrite64') this.#write(call)
  }

  /** What a power cut leaves: of the changes that no fsync covers, those that `survives` says. */
  afterPowerCut(survives: () => boolean): Buffer {
    return applied(Buffer.from(this.#durable), this.#pending.filter(survives))
  }

  #sync(began: number): void {
    this.#durable = applied(
      this.#durable,
      this.#pending.filter(({ at }) => at < began),
    )
    this.#pending = this.#pending.filter(({ at }) => at >= began)
  }

  #truncate({ args, returned: at }: Call): void {
    const length = Number(args.split(', ').at(-1))
    this.#pending.push({ at, apply: (file) => resized(file, length) })
  }

  #write({ args, returned: at }: Call): void {
    const { text = '', bytes, offset: from } = WRITE.exec(args)?.groups ?? {}
    const data = unescaped(text)
    const offset = Number(from)
    if (data.length !== Number(bytes)) throw new Error(`a write of ${bytes} bytes was traced with ${data.length}`)
    const end = offset + data.length
    this.#pending.push({
      at,
      apply: (file) => {
        const large = file.length < end ? resized(file, end) : file
        large.set(data, offset)
        return large
      },
    })
  }
}

function applied(file: Buffer, changes: readonly Change[]): Buffer {
  let result = file
  for (const { apply } of changes) result = apply(result)
  return result
}

const WRITE = /, "(?<text>.*)", (?<bytes>\d+), (?<offset>\d+)$/s

const resized = (file: Buffer, length: number): Buffer =>
  length <= file.length ? file.subarray(0, length) : Buffer.concat([file, Buffer.alloc(length - file.length)])

const ESCAPE = /\\(?:(?<octal>[0-7]{1,3})|(?<letter>[^0-7]))/g
const LETTERS: Readonly<Record<string, string>> = { n: '\n', t: '\t', v: '\v', f: '\f', r: '\r' }

/** The bytes of a text that strace has put into quotes. */
const unescaped = (text: string): Buffer =>
  Buffer.from(
    text.replace(ESCAPE, (_, octal?: string, letter = '') =>
      octal === undefined ? (LETTERS[letter] ?? letter) : String.fromCharCode(Number.parseInt(octal, 8)),
    ),
    'latin1',
  )
