import type { EventFilter } from './event-filter.ts'
import { createMatchTest } from './payload-match.ts'
import { createTextTest } from './text-search.ts'

/** Tests an event's body and its headers (a JSON object). */
export type PayloadTest = (body: Uint8Array, headersJson: string) => boolean

/** The part of a filter that is about what events contain; undefined: there is none. The filter must have been checked. */
export function createPayloadTest({ contains, match = [] }: EventFilter): PayloadTest | undefined {
  const text = contains === undefined ? undefined : createTextTest(contains)
  const matches = match.map(createMatchTest)
  if (text === undefined && matches.length === 0) return undefined
  return (body, headersJson) => {
    if (matches.length > 0) {
      const contentType = contentTypeIn(headersJson)
      if (!matches.every((test) => test(body, contentType))) return false
    }
    return text === undefined || text(body, headersJson)
  }
}

const contentTypeIn = (headersJson: string): string | undefined =>
  headersJson.includes('x-www-form-urlencoded')
    ? (JSON.parse(headersJson) as Record<string, string | undefined>)['content-type']
    : undefined
