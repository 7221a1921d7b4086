import { writeFile } from 'node:fs/promises'
import { errorBeside } from '../domain/answer.ts'
import { type ErrorDetail, messageOf } from '../domain/errors.ts'
import { bodyField, type EventFixture, FIXTURE_FORMAT } from '../domain/event-fixture.ts'
import { EVENT_OUTCOMES } from '../domain/outcome.ts'
import type { EventDetailJson, EventJson, EventPageJson } from '../http/schemas/events.ts'
import { CommandError, command, EXIT_OK, oneOf, UsageError } from './command.ts'
import { eventFlags, payloadFlags, receivedFlags } from './event-flags.ts'
import { listFlags, runList } from './lists.ts'
import { type OpsClient, withOps } from './ops-client.ts'
import { fields, printable, shortDuration, shownFlags, write, writeAnswer, writeJson } from './output.ts'
import { readablePayload } from './payload.ts'
import { type Columns, count, main, spare, state, table, text, time, whole } from './table.ts'
import { timesOf } from './times.ts'
import { stateCell, timeIn, type View } from './view.ts'

const PATH = '/v1/events'
export const eventPath = (uid: string): string => `${PATH}/${encodeURIComponent(uid)}`

export const eventsList = command({
  name: 'events list',
  summary: 'Lists events, newest first.',
  operands: [],
  flags: {
    ...eventFlags,
    outcome: oneOf('<outcome>', EVENT_OUTCOMES),
    ...receivedFlags,
    ...payloadFlags,
    ...listFlags,
  },
  run: async ({ flags: { limit, cursor, utc, json, ...given } }, io) => {
    const filter = { ...given, ...timesOf(given) }
    return runList<EventJson, EventPageJson>(io, {
      path: PATH,
      filter,
      columns,
      limit,
      cursor,
      utc,
      json,
      note: searched,
    })
  },
})

const searched = ({ scanned_until }: EventPageJson): string | undefined =>
  scanned_until === undefined ? undefined : `searched back to ${printable(scanned_until)}\n`

const columns: Columns<EventJson> = [
  time('RECEIVED', ({ received_at }) => received_at),
  whole('UID', ({ uid }) => uid),
  spare(text('SOURCE', ({ source }) => source)),
  text('TYPE', ({ type }) => type),
  spare(state('STATUS', ({ status }) => status)),
  state('OUTCOME', ({ outcome }) => outcome ?? ''),
]

export const eventsShow = command({
  name: 'events show',
  summary: 'Shows one event with its deliveries, their attempts and its payload.',
  operands: ['uid'],
  flags: { body: { help: 'write the exact bytes that came, and nothing else' }, ...shownFlags },
  run: async ({ flags: { body, utc, json }, operands: [uid] }, io) => {
    if (body && json) throw new UsageError('--body and --json exclude each other')
    return withOps(io, async (ops) => {
      if (body) await write(io.out, await ops.bytes(`${eventPath(uid)}/body`))
      else {
        const event = await ops.get<EventDetailJson>(eventPath(uid))
        await writeAnswer(io, event, { json, utc }, describe)
        if (!json) await write(io.out, `\n${await payloadOf(ops, event)}`)
      }
      return EXIT_OK
    })
  },
})

async function payloadOf(ops: OpsClient, { uid, size_bytes, headers }: EventDetailJson): Promise<string> {
  if (size_bytes === 0) return 'the body is empty\n'
  try {
    return readablePayload(await ops.bytes(`${eventPath(uid)}/body`), headers['content-type'])
  } catch (error) {
    return `${printable(messageOf(error))}\n`
  }
}

type DeliveryDetail = EventDetailJson['deliveries'][number]
type Attempt = DeliveryDetail['history'][number] & Pick<DeliveryDetail, 'handler'>

const deliveryColumns: Columns<DeliveryDetail> = [
  text('HANDLER', ({ handler }) => handler),
  state('STATE', (delivery) => delivery.state),
  count('ATTEMPTS', ({ attempts }) => attempts),
  time('DUE OR ENDED', ({ waits_for_turn, due_at }) => (waits_for_turn === true ? 'waits for its turn' : due_at)),
  main(text('LAST ERROR', ({ last_error }) => last_error)),
]

const attemptColumns: Columns<Attempt> = [
  time('STARTED', ({ started_at }) => started_at),
  text('HANDLER', ({ handler }) => handler),
  count('ATTEMPT', ({ number }) => number),
  state('OUTCOME', ({ outcome }) => outcome),
  count('TOOK', ({ duration_ms }) => shortDuration(duration_ms)),
  main(text('ERROR', ({ error }) => error)),
  whole('CAUSE', ({ cause }) => cause),
]

/** Attempts of replays tell which, and those that forwarded their event how it was answered; without one, there is no such column. */
const attemptColumnsFor = (attempts: readonly Attempt[]): Columns<Attempt> => [
  ...attemptColumns.slice(0, -2),
  ...(attempts.some(({ answer }) => answer !== undefined) ? [text('ANSWER', answerOf)] : []),
  ...attemptColumns.slice(-2),
  ...(attempts.some(({ replay }) => replay !== undefined) ? [whole('REPLAY', ({ replay }: Attempt) => replay)] : []),
]

const answerOf = ({ answer }: Pick<Attempt, 'answer'>): string | undefined =>
  answer && `${answer.status} in ${shortDuration(answer.duration_ms)}`

type Beside = NonNullable<EventDetailJson['beside']>[number]

const RELATIONS: Readonly<Record<Beside['relation'], string>> = {
  has_id: 'it has the id',
  same_id: 'in conflict about the id',
  ended_task: 'it ended the task',
  same_task: 'came after the task’s end',
}

const besideColumns: Columns<Beside> = [
  time('RECEIVED', ({ received_at }) => received_at),
  whole('BESIDE IT', ({ uid }) => uid),
  whole('WHY', ({ relation }) => RELATIONS[relation]),
  state('STATUS', ({ status }) => status),
  text('TYPE', ({ type }) => type),
]

const sentAgain = ({ times, last_at, last_from }: NonNullable<EventDetailJson['repeats']>, view: View): string =>
  `${times === 1 ? 'once' : `${times} times, last`} ${timeIn(view, last_at)}${last_from === undefined ? '' : ` from ${last_from}`}`

function describe(event: EventDetailJson, view: View): string {
  const head = fields(view, [
    ['uid', event.uid],
    ['source', event.provider === event.source ? event.source : `${event.source} (provider ${event.provider})`],
    ['id', event.id],
    ['type', event.type],
    ['status', stateCell(event.status)],
    ['outcome', event.outcome === undefined ? undefined : stateCell(event.outcome)],
    ['reasons', event.reasons.join('; ')],
    ['origin', event.origin],
    ['task', event.task],
    ['created', createdOf(event, view)],
    [
      'received',
      `${timeIn(view, event.received_at)}${event.received_from === undefined ? '' : ` from ${event.received_from}`}`,
    ],
    ['sent again', event.repeats && sentAgain(event.repeats, view)],
    ['verified by', event.verified_by && `secret ${event.verified_by.secret} of ${event.verified_by.of}`],
    ['body', `${event.size_bytes} bytes, sha256 ${event.checksum}`],
  ])
  const attempts = event.deliveries.flatMap(({ handler, history }) =>
    history.map((attempt) => ({ ...attempt, handler })),
  )
  const { beside = [] } = event
  return [
    head,
    beside.length > 0 && table(view, besideColumns, beside),
    event.deliveries.length > 0 && table(view, deliveryColumns, event.deliveries),
    attempts.length > 0 && table(view, attemptColumnsFor(attempts), attempts),
    ...event.deliveries.flatMap((delivery) => [lastAnswer(delivery), lastThrown(delivery)]),
  ]
    .filter((part) => part !== false)
    .join('\n')
}

/** Marks a time that is not the provider's own. */
const createdOf = ({ created_at, created_at_source }: EventDetailJson, view: View): string =>
  `${timeIn(view, created_at)}${created_at_source === 'received' ? ' (of receipt: the provider gave no time that can be read)' : ''}`

/** What the service answered to which the last attempt forwarded the event. */
function lastAnswer({ handler, history }: DeliveryDetail): string | false {
  const { number, answer } = history.findLast((attempt) => attempt.answer !== undefined) ?? {}
  if (number === undefined || answer === undefined) return false
  const line = `attempt ${number} of ${handler}: ${printable(answer.from)} answered ${answerOf({ answer })}\n`
  return answer.text === undefined ? line : `${line}  ${printable(answer.text)}\n`
}

/** What the last failed attempt of a delivery threw; the attempts before it mostly threw the same. */
function lastThrown({ handler, history }: EventDetailJson['deliveries'][number]): string | false {
  const attempt = history.findLast(({ error_detail }) => error_detail !== undefined)
  if (attempt?.error_detail === undefined || isTold(attempt)) return false
  const what = attempt.outcome === 'process_lost' ? 'was lost with its process' : 'threw'
  return `attempt ${attempt.number} of ${handler} ${what}\n${thrown(attempt.error_detail, '  ')}`
}

/** Whether the answer, which is shown too, says as much as the error does. */
const isTold = ({ error, error_detail, answer }: DeliveryDetail['history'][number]): boolean =>
  answer !== undefined &&
  error_detail?.stack === undefined &&
  errorBeside(error, { ...answer, durationMs: answer.duration_ms }) === undefined

/** The text of a thrown value, with its stack, its cause and its parts, each indented further. */
export function thrown({ name, message, code, stack, cause, errors }: ErrorDetail, indent: string): string {
  const [first = '', ...more] = message.split('\n')
  const line = (text: string): string => `${indent}${text}\n`
  return [
    line(`${printable(name)}: ${printable(first)}${code === undefined ? '' : ` (${printable(code)})`}`),
    ...more.map((text) => line(`  ${printable(text)}`)),
    ...(stack ?? []).map((frame) => line(`    ${printable(frame)}`)),
    ...(cause === undefined ? [] : [line('caused by'), thrown(cause, `${indent}  `)]),
    ...(errors ?? []).flatMap((part) => [line('one of its parts'), thrown(part, `${indent}  `)]),
  ].join('')
}

export const eventsExport = command({
  name: 'events export',
  summary: 'Writes one event as a file that tests of handlers read: recorded() of holdfast/testing.',
  operands: ['uid'],
  flags: { out: { value: '<file>', help: 'write this file, in place of the standard output' } },
  run: async ({ flags: { out }, operands: [uid] }, io) =>
    withOps(io, async (ops) => {
      const event = await ops.get<EventDetailJson>(eventPath(uid))
      const fixture = fixtureOf(event, await ops.bytes(`${eventPath(uid)}/body`))
      if (out === undefined) await writeJson(io.out, fixture)
      else await writeFile(out, `${JSON.stringify(fixture, null, 2)}\n`).catch(unwritable)
      return EXIT_OK
    }),
})

/** The fields in an order that is always the same, so that two exports of one event are one file. */
const fixtureOf = ({ headers, task, ...event }: EventDetailJson, body: Uint8Array): EventFixture => ({
  format: FIXTURE_FORMAT,
  source: event.source,
  provider: event.provider,
  type: event.type,
  id: event.id,
  uid: event.uid,
  received_at: event.received_at,
  origin: event.origin,
  ...(task !== undefined && { task }),
  headers: Object.fromEntries(Object.entries(headers).toSorted(([one], [other]) => (one < other ? -1 : 1))),
  ...bodyField(body),
})

function unwritable(error: unknown): never {
  throw new CommandError(messageOf(error))
}
