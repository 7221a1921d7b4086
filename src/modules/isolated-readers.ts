import { MAX_TASK_REQUEST_BYTES } from '../domain/limits.ts'
import type { Provider } from '../domain/provider.ts'
import { MAX_RESULT_VALUES } from '../pipeline/module-results.ts'
import { directReaders, type ProviderReaders, UnreadError } from '../pipeline/provider-readers.ts'
import { type ReadResult, unreadableEvent } from '../pipeline/read-event.ts'
import type { PollReading } from '../pipeline/read-poll-answer.ts'
import { ModuleReader, type ModuleReaderOptions, type ReaderCall } from './module-reader.ts'

/** How many bytes a result may take: a fixed number, and some for each byte of the body. */
const MAX_FIXED_BYTES = 65_536
const MAX_BYTES_PER_BODY_BYTE = 4

/** Bytes that a request to a provider may take. */
const MAX_REQUEST_BYTES = 8 * MAX_TASK_REQUEST_BYTES

type ApiRead = Awaited<ReturnType<ProviderReaders['apiWithBody']>>

export interface IsolatedReaders extends ProviderReaders {
  /** Ends the threads. */
  close(): Promise<void>
}

/**
 * Runs the readers of each provider in `modules` in a thread of its own, and the readers of all other providers in the calling
 * thread. If a thread fails or takes too long, `event` and `stored` return an event that could not be read, with the reason;
 * the other methods reject with `UnreadError`.
 */
export function createIsolatedReaders(
  modules: ReadonlyMap<Provider, string>,
  options: Pick<ModuleReaderOptions, 'environment' | 'log' | 'maxReadingMs'>,
): IsolatedReaders {
  const threads = new Map(
    [...modules].map(([provider, module]) => [
      provider,
      new ModuleReader({ ...options, provider: provider.name, module }),
    ]),
  )

  async function readEvent(thread: ModuleReader, call: ReaderRequest, id?: string): Promise<ReadResult> {
    try {
      return (await thread.read(readerCallOf(call))) as ReadResult
    } catch (error) {
      if (!(error instanceof UnreadError)) throw error
      return unreadableEvent(call.body, error.message, id)
    }
  }

  return {
    event(provider, headers, body, receivedAtMs) {
      const thread = threads.get(provider)
      if (thread === undefined) return directReaders.event(provider, headers, body, receivedAtMs)
      return readEvent(thread, { name: 'event', before: [headers], body, after: [receivedAtMs] })
    },
    stored(provider, event, body) {
      const thread = threads.get(provider)
      if (thread === undefined) return directReaders.stored(provider, event, body)
      const { id, type, origin, task, headers, receivedAtMs } = event
      return readEvent(
        thread,
        { name: 'stored', before: [{ id, type, origin, task, headers, receivedAtMs }], body },
        id,
      )
    },
    async pollAnswer(provider, polled, body) {
      const thread = threads.get(provider)
      if (thread === undefined) return directReaders.pollAnswer(provider, polled, body)
      return (await thread.read(readerCallOf({ name: 'pollAnswer', before: [polled], body }))) as PollReading
    },
    async apiWithBody(provider, name, body, args) {
      const thread = threads.get(provider)
      if (thread === undefined) return directReaders.apiWithBody(provider, name, body, args)
      const call = readerCallOf({ name: 'apiWithBody', before: [name], body, after: [args] })
      const isRequest = name === 'tasks.submit.request'
      return (await thread.read(isRequest ? { ...call, maxBytes: MAX_REQUEST_BYTES } : call)) as ApiRead
    },
    api(provider, name, ...args) {
      const thread = threads.get(provider)
      if (thread === undefined) return directReaders.api(provider, name, ...args)
      return thread.read({
        name: 'api',
        args: [name, ...args],
        maxBytes: MAX_REQUEST_BYTES,
        maxValues: MAX_RESULT_VALUES,
      })
    },
    async close() {
      await Promise.all([...threads.values()].map((thread) => thread.close()))
    },
  }
}

interface ReaderRequest {
  readonly name: ReaderCall['name']
  readonly before: readonly unknown[]
  readonly body: Uint8Array
  readonly after?: readonly unknown[]
}

const readerCallOf = ({ name, before, body, after = [] }: ReaderRequest): ReaderCall => ({
  name,
  // A copy, because a view would send the whole buffer behind it.
  args: [...before, new Uint8Array(body), ...after],
  maxBytes: MAX_FIXED_BYTES + body.length * MAX_BYTES_PER_BODY_BYTE,
  // In JSON each value takes at least one byte, and a separator one more.
  maxValues: Math.max(MAX_RESULT_VALUES, Math.ceil(body.length / 2)),
})
