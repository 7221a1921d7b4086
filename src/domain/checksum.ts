import { createHash, hash } from 'node:crypto'

/** Bytes that are hashed at once, in about half a millisecond. */
const SLICE_BYTES = 1_048_576

/** The SHA-256 of a body, in hex. A long body is hashed in slices, and the event loop goes on between them. */
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

/** The fingerprint of a request: equal objects have the same one, in any order of their properties. */
export const fingerprintOf = (request: object): string => hash('sha256', JSON.stringify(request, inOrder))

const inOrder = (_: string, value: unknown): unknown =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
    ? Object.fromEntries(Object.entries(value).toSorted(([one], [other]) => (one < other ? -1 : 1)))
    : value
