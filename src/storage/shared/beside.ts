import { type BesideEvent, MAX_BESIDE, type Relation } from '../../domain/event-store.ts'
import { CONFLICTING, type EventRow, eventSummaryOf, FIRST, STORED_COLUMNS, type Variant } from './events.ts'

/** The newest events of a task among which those are that came after its end. */
const MAX_OF_TASK = 1_000

/** A statement with numbered parameters. */
export interface Look {
  readonly name: string
  readonly text: string
  readonly values: readonly (string | number)[]
}

/** What decides which events stand beside an event. */
export type OwnRow = Readonly<{
  key: number
  uid: string
  source: string
  id: string
  variant: Variant
  status: string
  task: string | null
  task_end: string | null
  /** The task is known. */
  is_tracked: boolean | number
  /** The uid of the event that ended the task. */
  ended_by: string | null
}>

const OWN = `
  SELECT event.key, event.uid, event.source, event.id, event.variant, event.status, event.task, event.task_end,
    task.key IS NOT NULL AS is_tracked, task.event AS ended_by
  FROM event LEFT JOIN task ON task.source = event.source AND task.id = event.task WHERE event.uid = $1
`
const IN_CONFLICT = `
  SELECT ${STORED_COLUMNS} FROM event WHERE source = $1 AND id = $2 AND variant = ${CONFLICTING} AND key <> $3
  ORDER BY key DESC LIMIT ${MAX_BESIDE}
`
const BY_UID = `SELECT ${STORED_COLUMNS} FROM event WHERE uid = $1`
const ofTask = (condition: string): string => `
  SELECT ${STORED_COLUMNS} FROM (
    SELECT * FROM event WHERE task = $1 AND source = $2 ORDER BY received_at DESC, key DESC LIMIT ${MAX_OF_TASK}
  ) AS event WHERE ${condition} AND key <> $3 ORDER BY received_at DESC, key DESC LIMIT ${MAX_BESIDE}
`
const SUPERSEDED = ofTask("status = 'superseded'")
/** The task itself may be deleted before its events. */
const ENDING = ofTask("task_end IS NOT NULL AND status IN ('accepted', 'unhandled')")

export const byUid = (uid: string): Look => ({ name: 'beside-event', text: BY_UID, values: [uid] })

type Looks = Generator<Look, readonly BesideEvent[], readonly unknown[]>

/**
 * Finds the events beside one: gives each statement to run, and takes its rows. `holderOf`: how the event is found that has the id of an
 * event in conflict.
 */
export function* lookBeside(uid: string, holderOf: (own: OwnRow) => Look | undefined): Looks {
  const [own] = (yield { name: 'beside-own', text: OWN, values: [uid] }) as readonly OwnRow[]
  if (own === undefined) return []
  return [...(yield* aboutId(own, holderOf)), ...(yield* aboutTask(own))]
}

const related = (relation: Relation, rows: readonly unknown[]): readonly BesideEvent[] =>
  rows.map((row) => ({ relation, event: eventSummaryOf(row as EventRow) }))

function* aboutId(own: OwnRow, holderOf: (own: OwnRow) => Look | undefined): Looks {
  const { key, source, id, variant } = own
  if (variant !== FIRST && variant !== CONFLICTING) return []
  const holder = variant === CONFLICTING ? holderOf(own) : undefined
  const first = holder === undefined ? [] : related('has_id', yield holder)
  const others = yield { name: 'beside-in-conflict', text: IN_CONFLICT, values: [source, id, key] }
  return [...first, ...related('same_id', others)].slice(0, MAX_BESIDE)
}

function* aboutTask(own: OwnRow): Looks {
  const { key, uid, source, status, task, task_end, is_tracked, ended_by } = own
  if (task === null) return []
  const isLate = status === 'superseded'
  const hasEnded = is_tracked
    ? ended_by === uid
    : task_end !== null && (status === 'accepted' || status === 'unhandled')
  if (!isLate && !hasEnded) return []
  const values = [task, source, key]
  const ending = ended_by === null ? { name: 'beside-ending', text: ENDING, values } : byUid(ended_by)
  const first = isLate ? related('ended_task', yield ending).slice(0, 1) : []
  const others = yield { name: 'beside-superseded', text: SUPERSEDED, values }
  return [...first, ...related('same_task', others)].slice(0, MAX_BESIDE)
}
