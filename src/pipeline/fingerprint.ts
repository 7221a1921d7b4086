import { hash } from 'node:crypto'

/** Of a request: the same object has the same, in whatever order its properties come. */
export const fingerprintOf = (request: object): string => hash('sha256', JSON.stringify(request, inOrder))

const inOrder = (_: string, value: unknown): unknown =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
    ? Object.fromEntries(Object.entries(value).toSorted(([one], [other]) => (one < other ? -1 : 1)))
    : value
