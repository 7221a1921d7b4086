import type { Dispatcher } from 'undici'
import type { Headers } from '../domain/event.ts'
import type { CallResult } from '../domain/outbound.ts'
import { CallFault } from './call-fault.ts'

/**
 * The whole answer, of at most `maxBytes`. Throws `CallFault` as soon as it is known to be longer, or compressed; the
 * connection is then gone.
 */
export async function readAnswer(
  { statusCode, headers, body }: Dispatcher.ResponseData,
  maxBytes: number,
): Promise<CallResult> {
  // It is destroyed where reading stops early, and says so once more to whoever listens.
  body.on('error', () => {})
  if (![undefined, '', 'identity'].includes(joined(headers['content-encoding'])?.toLowerCase())) {
    body.destroy()
    throw new CallFault('broken', 'The answer came compressed, though it was asked for as it is.')
  }
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of body as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > maxBytes) throw new CallFault('too_large', `The answer is longer than ${maxBytes} bytes.`)
    chunks.push(chunk)
  }
  return { ok: true, status: statusCode, headers: flat(headers), body: Buffer.concat(chunks, bytes) }
}

const flat = (headers: Dispatcher.ResponseData['headers']): Headers =>
  Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, joined(value)]))

const joined = (value: string | string[] | undefined): string | undefined =>
  Array.isArray(value) ? value.join(', ') : value
