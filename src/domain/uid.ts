import { randomUUIDv7 } from 'node:crypto'

/** A UUIDv7 (RFC 9562): our name for an event, in rough order of arrival. */
export const newUid = (): string => randomUUIDv7()

const UID = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/

export const isUid = (text: string): boolean => UID.test(text)
