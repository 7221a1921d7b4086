import type { DatabaseSync } from 'node:sqlite'
import type { TypeRoutes } from '../../domain/delivery.ts'
import type { EndedTask } from '../../domain/task.ts'
import { routeByType } from '../../pipeline/type-routes.ts'
import type { Successor } from '../shared/deliveries.ts'
import { orderKeysIn } from '../shared/deliveries.ts'
import { storedReasons } from '../shared/events.ts'
import { type TaskEndRow, taskEndOf } from '../shared/tasks.ts'
import type { EndTask, TaskEffect } from './end-task.ts'
import type { Identities, Identity } from './event-identity.ts'
import type { Deliver } from './replay.ts'
import type { Row } from './statement-cache.ts'

/**
 * Makes a quarantined event give its id up, once all its deliveries are dead. The first understood event that is in conflict
 * with it takes the id and goes to its handlers, as if the quarantined event had been judged before it was stored. Returns the
 * event that took the id.
 */
export type GiveUpId = (eventKey: number, routes: TypeRoutes | undefined, nowMs: number) => Successor | undefined

interface GiveUpParts {
  readonly identities: Identities
  readonly deliver: Deliver
  readonly endTask: EndTask
}

export function prepareGiveUpId(db: DatabaseSync, { identities, deliver, endTask }: GiveUpParts): GiveUpId {
  const select = db.prepare(
    'SELECT uid, type, status, source, task, task_end, task_word, order_keys FROM event WHERE key = ?',
  )
  const update = db.prepare('UPDATE event SET status = ?, reasons = ? WHERE key = ?')
  const taskEndedBy = db.prepare('SELECT key, id FROM task WHERE source = ? AND id = ? AND event = ?')
  const setEndingEvent = db.prepare('UPDATE task SET event = ? WHERE key = ?')

  /** Lets another event end the task that the quarantined event ended, because no handler took that event. Returns the task. */
  function giveUpTask(eventKey: number): Row | undefined {
    const event = select.get(eventKey)
    const task = event && taskEndedBy.get(event.source ?? null, event.task ?? null, event.uid ?? null)
    if (task !== undefined) setEndingEvent.run(null, Number(task.key))
    return task
  }

  /** Runs an event that has just taken the id. */
  function run({ key }: Identity, routes: TypeRoutes, givenUp: Row | undefined, nowMs: number): EndedTask | undefined {
    const event = select.get(key)
    // A replay has run it already.
    if (event?.status !== 'conflict') return undefined
    const routing = routeByType(routes, String(event.type))
    const effect = effectOf(event)
    const status = effect.kind === 'superseded' ? effect.kind : routing.status
    update.run(status, storedReasons(routing.reasons), key)
    if (status === 'superseded') return undefined
    deliver(key, { handlers: routing.handlers, ...orderKeysIn(event.order_keys) }, nowMs)
    const uid = String(event.uid)
    if (effect.kind === 'ends') return endTask.resolve(effect.task, effect.end, null, uid, nowMs)
    if (givenUp !== undefined && givenUp.id === event.task && event.task_end !== null)
      setEndingEvent.run(uid, Number(givenUp.key))
    return undefined
  }

  function effectOf({ source, task, task_end, task_word }: Row): TaskEffect {
    if (typeof task !== 'string' || task_end === null) return { kind: 'none' }
    return endTask.effectOn(String(source), task, taskEndOf({ task_end, task_word } as TaskEndRow))
  }

  return (eventKey, routes, nowMs) => {
    const quarantined = identities.disown(eventKey)
    if (quarantined === undefined) return undefined
    const givenUp = giveUpTask(eventKey)
    if (routes === undefined) return undefined
    const { source, id, byBody, uid } = quarantined
    for (const event of identities.inConflict(source, id)) {
      if (!identities.takeId(event, byBody)) continue
      const ended = run(event, routes, givenUp, nowMs)
      return { uid: event.uid, of: uid, ...(ended !== undefined && { ended }) }
    }
    return undefined
  }
}
