import { Writable } from 'node:stream'
import { StringDecoder } from 'node:string_decoder'

/** Characters of one line; the rest of a longer one is left out. */
const MAX_LINE_LENGTH = 8_192

/**
 * Makes log lines of what user code writes to `process.stdout` and `process.stderr`, which is what `console` writes to. The
 * line is told where it was written, so that it is known by whom.
 */
export function captureConsole(onLine: (level: 'info' | 'warn', line: string) => void): void {
  replace('stdout', (line) => onLine('info', line))
  replace('stderr', (line) => onLine('warn', line))
}

function replace(name: 'stdout' | 'stderr', onLine: (line: string) => void): void {
  Object.defineProperty(process, name, { value: lineStream(onLine), configurable: true, enumerable: true })
}

/** Tells each line that is written to it. */
export function lineStream(onLine: (line: string) => void): Writable {
  const decoder = new StringDecoder('utf8')
  let begun = ''
  const tell = (line: string): void => {
    if (line.trim() !== '') onLine(line.slice(0, MAX_LINE_LENGTH))
  }
  const stream = new Writable({
    decodeStrings: true,
    write(chunk: Buffer, _encoding, done) {
      const [first = '', ...more] = decoder.write(chunk).split('\n')
      begun = (begun + first).slice(0, MAX_LINE_LENGTH + 1)
      for (const line of more) {
        tell(begun)
        begun = line
      }
      done()
    },
  })
  // A handler may have destroyed it, which is no reason to end.
  return stream.on('error', () => {})
}
