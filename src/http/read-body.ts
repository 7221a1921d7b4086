import type { IncomingMessage } from 'node:http'

export type BodyRead = Buffer | 'too_large' | 'aborted'

const EMPTY = Buffer.alloc(0)

/**
 * Reads a body as the bytes that came. Past the limit it keeps nothing and lets the rest flow by, so that the sender
 * lives to read its answer instead of meeting a reset connection; the request timeout bounds that. Never rejects.
 */
export function readBody(request: IncomingMessage, limitBytes: number): Promise<BodyRead> {
  return new Promise((resolve) => {
    const declared = request.headers['content-length']
    if (declared !== undefined && Number(declared) > limitBytes) {
      request.resume()
      resolve('too_large')
      return
    }
    const chunks: Buffer[] = []
    let sizeBytes = 0
    const onData = (chunk: Buffer): void => {
      sizeBytes += chunk.length
      if (sizeBytes <= limitBytes) {
        chunks.push(chunk)
        return
      }
      chunks.length = 0
      request.off('data', onData)
      request.resume()
      resolve('too_large')
    }
    request.on('data', onData)
    request.on('end', () => resolve(chunks.length === 1 ? (chunks[0] ?? EMPTY) : Buffer.concat(chunks, sizeBytes)))
    request.on('error', () => resolve('aborted'))
  })
}
