import { EVENT_STATUSES, ORIGINS } from '../domain/event.ts'
import { oneOf } from './command.ts'

/** The options that choose events, the same ones in every command. */
export const eventFlags = {
  source: { value: '<name>', help: 'of this source' },
  type: { value: '<type>', help: 'of this type; * stands for anything' },
  status: oneOf('<status>', EVENT_STATUSES),
  origin: oneOf('<origin>', ORIGINS),
  task: { value: '<id>', help: 'about this task of the provider' },
  q: { value: '<text>', help: 'with this in their id, uid, type or task' },
} as const

export const receivedFlags = {
  since: { value: '<time>', help: 'received at or after: RFC 3339, or a while ago as 15m, 2h, 7d' },
  until: { value: '<time>', help: 'received before' },
} as const

/** Where events are shown as they come. */
export const alsoSince = {
  value: '<time>',
  help: 'also those received since then: RFC 3339, or a while ago as 15m, 2h, 7d',
} as const

export const payloadFlags = {
  contains: { value: '<text>', help: 'with this anywhere in their body or headers, in upper or lower case' },
  match: {
    value: '<path>:<value>',
    repeatable: true,
    help: 'with this value in their payload, as data.object.customer:cus_1; repeatable, all must hold',
  },
} as const
