import { randomUUIDv7 } from 'node:crypto'
import { MAX_NAME_LENGTH } from './limits.ts'

/** Control characters and lone surrogates. */
export const UNPRINTABLE = /[\p{Cc}\p{Cs}]/u

/** A string that every store, label and terminal can carry: an id, a type, a status. */
export const isName = (value: unknown): value is string =>
  typeof value === 'string' && value.length > 0 && value.length <= MAX_NAME_LENGTH && !UNPRINTABLE.test(value)

/** A segment of dots would change a URL's path, also at a server that unescapes before it splits. */
const DOT_SEGMENT = /(?:^|[/\\])\.{1,2}(?:$|[/\\])/

/** Whether a value can be a provider's task id, which is part of URL paths. */
export const isTaskId = (value: unknown): value is string => isName(value) && !DOT_SEGMENT.test(value)

/** A UUIDv7 (RFC 9562): Holdfast's id of an event; ids roughly sort by arrival. */
export const newUid = (): string => randomUUIDv7()

const UID = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/

export const isUid = (text: string): boolean => UID.test(text)
