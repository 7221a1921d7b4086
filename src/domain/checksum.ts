import { createHash, hash } from 'node:crypto'

/** Bytes that are gone through at once: half a millisecond's work. */
const SLICE_BYTES = 1_048_576

/** The SHA-256 of a body, in hex. Of a long one it is made in slices, between which others have their turn. */
export function checksumOf(body: Uint8Array): string | Promise<string> {
  return body.length <= SLICE_BYTES ? hash('sha256', body) : inSlices(body)
}

async function inSlices(body: Uint8Array): Promise<string> {
  const whole = createHash('sha256')
  for (let at = 0; at < body.length; at += SLICE_BYTES) {
    whole.update(body.subarray(at, at + SLICE_BYTES))
    await new Promise((resolve) => setImmediate(resolve))
  }
  return whole.digest('hex')
}

/** Of a request: the same object has the same, in whatever order its properties come. */
export const fingerprintOf = (request: object): string => hash('sha256', JSON.stringify(request, inOrder))

const inOrder = (_: string, value: unknown): unknown =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
    ? Object.fromEntries(Object.entries(value).toSorted(([one], [other]) => (one < other ? -1 : 1)))
    : value
