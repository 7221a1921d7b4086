import { serialize } from 'node:v8'
import { parentPort, workerData } from 'node:worker_threads'
import type { Provider, TaskAnswer } from '../domain/provider.ts'
import type { Reading } from '../domain/read-event.ts'
import { readHere } from '../domain/readers.ts'
import type { FromReader, ReaderCall } from './calls.ts'

/** Reads for one provider module of a user's own, one call after the other. Ended from outside where one takes too long. */

/** Keys of an unhandled payload that a log line may name. */
const MAX_KEYS = 32

const { default: provider } = (await import((workerData as { module: string }).module)) as { default: Provider }

parentPort?.on('message', (call: ReaderCall) => send(answerTo(call)))
send({ kind: 'ready' })

function send(message: FromReader): void {
  parentPort?.postMessage(message)
}

function answerTo({ name, args, maxBytes }: ReaderCall): FromReader {
  try {
    const result = handedOver(name, (readHere[name] as (...all: unknown[]) => unknown)(provider, ...args))
    return result.length > maxBytes ? { kind: 'too_large' } : { kind: 'read', result }
  } catch (error) {
    return { kind: 'failed', error: error instanceof Error ? error.name : typeof error }
  }
}

/** No more of it than is needed there; what cannot cross threads, a function say, as JSON has it. */
function handedOver(name: ReaderCall['name'], result: unknown): Uint8Array {
  const brief =
    name === 'tasks'
      ? result
      : name === 'task'
        ? briefAnswer(result as TaskAnswer | undefined)
        : briefReading(result as Reading)
  try {
    return serialize(brief)
  } catch {
    return serialize(JSON.parse(JSON.stringify(brief) ?? 'null'))
  }
}

function briefReading(reading: Reading): Reading {
  const payload = reading.ok ? reading.payload : undefined
  if (typeof payload !== 'object' || payload === null) return reading
  const keys = Object.keys(payload).slice(0, MAX_KEYS)
  return { ...reading, payload: Object.fromEntries(keys.map((key) => [key, null])) } as Reading
}

function briefAnswer(answer: TaskAnswer | undefined): unknown {
  if (answer === undefined || answer === null) return undefined
  const { status, word } = answer
  return status === 'pending' ? { status, word } : { status, word, event: { type: answer.event?.type } }
}
