import { onTestFinished } from 'vitest'

export interface StreamMessage {
  readonly id: string | undefined
  readonly event: string | undefined
  // oxlint-disable-next-line typescript/no-explicit-any -- asserted on field by field
  readonly data: any
  /** The lines as they came. */
  readonly text: string
}

export interface StreamReader {
  readonly answer: Response
  /** The next message with data; undefined: the stream has ended. */
  next(): Promise<StreamMessage | undefined>
  take(count: number): Promise<readonly StreamMessage[]>
  /** The last id, as a client keeps it. */
  lastId(): string
  close(): void
}

/** Reads server-sent events as a client does. Closed when the test is over. */
export async function openStream(url: string, headers: Record<string, string> = {}): Promise<StreamReader> {
  const closing = new AbortController()
  onTestFinished(() => closing.abort())
  const answer = await fetch(url, { headers, signal: closing.signal })
  let lastId = headers['last-event-id'] ?? ''
  const blocks = blocksOf(answer)
  const next = async (): Promise<StreamMessage | undefined> => {
    for (;;) {
      const { value: text, done } = await blocks.next()
      if (done === true) return undefined
      const field = (name: string): string | undefined => new RegExp(`^${name}: ?(.*)$`, 'm').exec(text)?.[1]
      lastId = field('id') ?? lastId
      const data = field('data')
      if (data !== undefined) return { id: field('id'), event: field('event'), data: JSON.parse(data), text }
    }
  }
  return {
    answer,
    next,
    async take(count) {
      const messages: StreamMessage[] = []
      while (messages.length < count) {
        const message = await next()
        if (message === undefined) throw new Error(`the stream has ended after ${JSON.stringify(messages)}`)
        messages.push(message)
      }
      return messages
    },
    lastId: () => lastId,
    close: () => closing.abort(),
  }
}

async function* blocksOf(answer: Response): AsyncGenerator<string, undefined> {
  let text = ''
  try {
    for await (const chunk of answer.body?.pipeThrough(new TextDecoderStream()) ?? []) {
      text += chunk
      for (let at = text.indexOf('\n\n'); at >= 0; at = text.indexOf('\n\n')) {
        yield text.slice(0, at)
        text = text.slice(at + 2)
      }
    }
  } catch {
    // The test, or the service, has closed the connection.
  }
  return undefined
}
