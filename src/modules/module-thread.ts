import { serialize } from 'node:v8'
import { parentPort, workerData } from 'node:worker_threads'
import type { Provider } from '../domain/provider.ts'
import { hasMoreValues } from '../pipeline/module-results.ts'
import { directReaders } from '../pipeline/provider-readers.ts'
import type { ReadResult } from '../pipeline/read-event.ts'
import type { PollReading } from '../pipeline/read-poll-answer.ts'
import { type Answered, type Numbered, READY } from '../threads/supervised-thread.ts'
import { postLines } from '../threads/thread-lines.ts'
import { registerModuleHooks } from './module-hooks.ts'
import type { FromModuleThread, ReaderCall } from './module-reader.ts'

/**
 * The thread of one user's provider module: runs the readers of the module, one call after the other. The service ends this
 * thread if a call takes too long.
 */

/** How many keys of an unhandled payload a log line may name. */
const MAX_KEYS = 32
/** How many characters of the message of an error are sent. */
const MAX_MESSAGE_LENGTH = 4_096

postLines()
registerModuleHooks()
const { default: provider } = (await import((workerData as { module: string }).module)) as { default: Provider }

parentPort?.on('message', ({ number, message }: Numbered<ReaderCall>) => send({ number, answer: answerTo(message) }))
parentPort?.postMessage(READY)

function send(message: Answered<FromModuleThread>): void {
  parentPort?.postMessage(message)
}

function answerTo({ name, args, maxBytes, maxValues }: ReaderCall): FromModuleThread {
  try {
    const read = (directReaders[name] as (...all: unknown[]) => unknown)(provider, ...args)
    const result = name === 'api' || name === 'apiWithBody' ? read : withoutPayload(read as ReadResult | PollReading)
    if (hasMoreValues(result, maxValues)) return { kind: 'too_large' }
    const bytes = serialised(result)
    return bytes.length > maxBytes ? { kind: 'too_large' } : { kind: 'read', result: bytes }
  } catch (error) {
    return { kind: 'failed', ...failureOf(name, error) }
  }
}

/** A value that cannot cross threads, such as a function, is sent in its JSON form. */
function serialised(value: unknown): Uint8Array {
  try {
    return serialize(value)
  } catch {
    return serialize(JSON.parse(JSON.stringify(value) ?? 'null'))
  }
}

function failureOf(name: ReaderCall['name'], error: unknown): { readonly error: string; readonly message?: string } {
  if (!(error instanceof Error)) return { error: typeof error }
  const { name: kind, message } = error
  return { error: kind, ...(name === 'api' && { message: String(message).slice(0, MAX_MESSAGE_LENGTH) }) }
}

/** Keeps only the keys of a payload, because the service needs no more of it. */
function withoutPayload(read: ReadResult | PollReading): ReadResult | PollReading {
  if (!('kind' in read)) return briefReading(read)
  return read.kind === 'ended' ? { ...read, reading: briefReading(read.reading) } : read
}

function briefReading<Read extends ReadResult>(reading: Read): Read {
  const payload = reading.ok ? reading.payload : undefined
  if (typeof payload !== 'object' || payload === null) return reading
  const keys = Object.keys(payload).slice(0, MAX_KEYS)
  return { ...reading, payload: Object.fromEntries(keys.map((key) => [key, null])) }
}
