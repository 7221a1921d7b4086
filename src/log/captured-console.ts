import { Writable } from 'node:stream'
import { StringDecoder } from 'node:string_decoder'

/** Characters of one line; the rest of a longer line is dropped. */
const MAX_LINE_LENGTH = 8_192

/**
 * Passes on the lines that users' code writes to `process.stdout` and `process.stderr`, which `console` writes to. Calls `onLine`
 * synchronously, in the context of the code that wrote the line, so that the caller can tell whose line it is.
 */
export function captureConsole(onLine: (level: 'info' | 'warn', line: string) => void): void {
  replace('stdout', (line) => onLine('info', line))
  replace('stderr', (line) => onLine('warn', line))
}

function replace(name: 'stdout' | 'stderr', onLine: (line: string) => void): void {
  Object.defineProperty(process, name, { value: lineStream(onLine), configurable: true, enumerable: true })
}

/** A stream that calls `onLine` for each line written to it. */
export function lineStream(onLine: (line: string) => void): Writable {
  const decoder = new StringDecoder('utf8')
  let partialLine = ''
  const tell = (line: string): void => {
    if (line.trim() !== '') onLine(line.slice(0, MAX_LINE_LENGTH))
  }
  const stream = new Writable({
    decodeStrings: true,
    write(chunk: Buffer, _encoding, done) {
      const [first = '', ...more] = decoder.write(chunk).split('\n')
      partialLine = (partialLine + first).slice(0, MAX_LINE_LENGTH + 1)
      for (const line of more) {
        tell(partialLine)
        partialLine = line
      }
      done()
    },
  })
  // A handler may destroy the stream; that must not end the process.
  return stream.on('error', () => {})
}
