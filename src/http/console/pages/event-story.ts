import type { DeadCause } from '../../../domain/dead-letters.ts'
import { isHoldfastError } from '../../../domain/errors.ts'
import type { EventDetail } from '../../../domain/event-store.ts'
import { isUid } from '../../../domain/names.ts'
import type { Pause } from '../../../domain/pause.ts'
import type { Task } from '../../../domain/task.ts'
import type { Question } from '../../../domain/task-question.ts'
import type { ConsolePorts } from '../ports.ts'
import { isGone } from './gone.ts'

export type Delivery = EventDetail['deliveries'][number]

/** Why a delivery that waits does not run although it may be due. */
export type Hold =
  | { readonly why: 'paused'; readonly pause: Pause }
  /** No running process has its handler. */
  | { readonly why: 'gone' }
  /** An earlier delivery with its order key has not ended. */
  | { readonly why: 'turn' }

/** Where a replay came from. */
export interface ReplayOrigin {
  /** It is a replay of many events, which has a page. */
  readonly isJob: boolean
  readonly by?: string
}

/** An event with all that tells what became of it. What cannot be read beside the event is left out. */
export interface Story {
  readonly event: EventDetail
  readonly nowMs: number
  readonly task: Task | undefined
  /** What the provider was asked before the event, which ended its task. Empty for other events. Undefined: it cannot be read now. */
  readonly questions: readonly Question[] | undefined
  /** How many of its deliveries each handler runs at once, where it says so. */
  readonly atOnce: ReadonlyMap<string, number>
  /** By handler. */
  readonly holds: ReadonlyMap<string, Hold>
  /** The dead letters that died like a dead delivery of this event, by handler. */
  readonly causes: ReadonlyMap<string, DeadCause>
  /** By the id of the replay. */
  readonly replays: ReadonlyMap<string, ReplayOrigin>
}

/** Replays of one event whose origin is looked up. */
const MAX_REPLAYS = 8
const MAX_REMEMBERED = 500
/** How soon after a replay the audit has it, among so many others. */
const AUDITED_MS = 15_000
const AUDITED = 100

type Ports = Pick<
  ConsolePorts,
  'store' | 'tasks' | 'pauses' | 'handlers' | 'isRunning' | 'deadCauses' | 'replays' | 'clock'
>

export function storyReader(ports: Ports): (event: EventDetail) => Promise<Story> {
  const { tasks, deadCauses, clock } = ports
  const originOf = replayOrigins(ports)

  const taskOf = async ({ source, task }: EventDetail): Promise<Task | undefined> =>
    task === undefined ? undefined : orNothing(tasks.show(source, task, 0, AbortSignal.abort()))

  async function questionsOf({ uid }: EventDetail, task: Task | undefined): Promise<Story['questions']> {
    return task?.eventUid === uid ? orNothing(tasks.questions(task)) : []
  }

  async function causesOf({ deliveries, source }: EventDetail): Promise<ReadonlyMap<string, DeadCause>> {
    const dead = deliveries.filter(({ state, cause }) => state === 'dead' && cause !== undefined)
    const found = dead.slice(0, MAX_REPLAYS).map(async ({ handler, cause = '' }) => {
      const [first] = (await orNothing(deadCauses({ handler, source, cause })))?.causes ?? []
      return [handler, first] as const
    })
    return present(await Promise.all(found))
  }

  async function replaysOf({ uid, deliveries }: EventDetail): Promise<ReadonlyMap<string, ReplayOrigin>> {
    const ids = new Set(deliveries.flatMap(({ history }) => history.flatMap(({ replay = [] }) => replay)))
    const found = [...ids].slice(-MAX_REPLAYS).map(async (id) => [id, await orNothing(originOf(id, uid))] as const)
    return present(await Promise.all(found))
  }

  return async (event) => {
    const [task, causes, replays] = await Promise.all([taskOf(event), causesOf(event), replaysOf(event)])
    const atOnce = present(ports.handlers().map(({ name, concurrency }) => [name, concurrency]))
    const questions = await questionsOf(event, task)
    return { event, nowMs: clock(), task, questions, causes, replays, atOnce, holds: holdsOf(event, ports) }
  }
}

const orNothing = async <Value>(value: Promise<Value>): Promise<Value | undefined> => value.catch(() => undefined)

const present = <Value>(entries: readonly (readonly [string, Value | undefined])[]): ReadonlyMap<string, Value> =>
  new Map(entries.filter((entry): entry is readonly [string, Value] => entry[1] !== undefined))

/** By handler. */
export function holdsOf(
  { source, deliveries }: EventDetail,
  ports: Pick<ConsolePorts, 'pauses' | 'handlers' | 'isRunning'>,
): ReadonlyMap<string, Hold> {
  const holdOfDelivery = ({ handler, state, waitsForTurn }: Delivery): Hold | undefined =>
    state === 'pending'
      ? (holdOf({ handler, source }, ports) ?? (waitsForTurn === true ? { why: 'turn' } : undefined))
      : undefined
  return present(deliveries.map((delivery) => [delivery.handler, holdOfDelivery(delivery)]))
}

/** Why no delivery to the handler, of events of the source, runs now. */
export function holdOf(
  { handler, source }: { readonly handler: string; readonly source: string },
  ports: Pick<ConsolePorts, 'pauses' | 'handlers' | 'isRunning'>,
): Hold | undefined {
  const pause = ports.pauses.find('handler', handler) ?? ports.pauses.find('source', source)
  if (pause !== undefined) return { why: 'paused', pause }
  return isGone(handler, ports) ? { why: 'gone' } : undefined
}

/** Looks replays up: a job says who created it, of another replay the audit does. */
function replayOrigins({ replays, store, clock }: Ports) {
  const known = new Map<string, ReplayOrigin>()

  async function look(id: string, uid: string): Promise<ReplayOrigin> {
    try {
      const { by } = await replays.show(id)
      return { isJob: true, ...(by !== undefined && { by }) }
    } catch (error) {
      if (!isHoldfastError(error, 'replay_not_found')) throw error
    }
    const atMs = timeOfUid(id)
    if (atMs === undefined) return { isJob: false }
    const filter = { action: 'event.replay', sinceMs: atMs - 1_000, untilMs: atMs + AUDITED_MS }
    const { items } = await store.audit.list(filter, { limit: AUDITED })
    const entry = items.findLast(({ target, outcome }) => outcome === 'done' && target?.startsWith(uid) === true)
    return { isJob: false, ...(entry !== undefined && { by: entry.claimedName ?? entry.actor }) }
  }

  return async (id: string, uid: string): Promise<ReplayOrigin> => {
    const before = known.get(id)
    if (before !== undefined) return before
    const origin = await look(id, uid)
    const isFinal = origin.by !== undefined || clock() - (timeOfUid(id) ?? 0) > AUDITED_MS
    if (known.size >= MAX_REMEMBERED) known.clear()
    if (isFinal) known.set(id, origin)
    return origin
  }
}

/** When a uid was made; undefined: it is none. */
export const timeOfUid = (uid: string): number | undefined =>
  isUid(uid) ? Number.parseInt(uid.slice(0, 8) + uid.slice(9, 13), 16) : undefined

/** How soon the story may be another: in so many seconds it is asked for again. Undefined: it has come to its end. */
export function followSeconds({ event, holds, nowMs }: Pick<Story, 'event' | 'holds' | 'nowMs'>): number | undefined {
  const waits = event.deliveries.flatMap(({ handler, state, dueAtMs }) => {
    if (state === 'running') return [0]
    if (state !== 'pending') return []
    return [holds.has(handler) ? SLOW_SECONDS : (dueAtMs - nowMs) / 1_000]
  })
  if (waits.length === 0) return undefined
  const soonest = Math.min(...waits)
  return soonest <= 2 ? 1 : soonest < SLOW_SECONDS ? 2 : SLOW_SECONDS
}

/** What waits for a person, or for long, is asked for less often. */
const SLOW_SECONDS = 10
