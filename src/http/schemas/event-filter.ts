import { Type } from '@sinclair/typebox'
import { EVENT_STATUSES, ORIGINS } from '../../domain/event.ts'
import { MAX_MATCH_LENGTH, MAX_MATCHES } from '../../domain/payload-match.ts'
import { OneOf, Text, Time } from './schema.ts'

/** Filters by what an event is stored with. */
export const eventFields = {
  source: Type.Optional(Text('Name of the source')),
  type: Type.Optional(Text('Event type, or a pattern with *')),
  status: Type.Optional(OneOf(EVENT_STATUSES)),
  origin: Type.Optional(OneOf(ORIGINS)),
  task: Type.Optional(Text("The provider's id of the task")),
  q: Type.Optional(Text('Part of an id, uid, type or task')),
}

export const receivedFields = {
  since: Type.Optional(Time('Received at or after')),
  until: Type.Optional(Time('Received before')),
}

/** Filters that read bodies. */
export const payloadFields = {
  contains: Type.Optional(Text('A text anywhere in the body or the headers, in upper or lower case')),
  match: Type.Optional(
    Type.Array(Type.String({ minLength: 1, maxLength: MAX_MATCH_LENGTH }), {
      maxItems: MAX_MATCHES,
      description: '`<path>:<value>`: a value at the dotted path in the payload is this; repeatable, all must hold',
    }),
  ),
}
