import { describe, expect, test } from 'vitest'
import type { NewEvent } from '../../src/domain/event.ts'
import { MAX_BESIDE } from '../../src/domain/event-store.ts'
import { newUid } from '../../src/domain/names.ts'
import type { OpenStore } from '../../src/domain/store.ts'
import type { Fixture } from './store-contract.ts'
import { newEvent, pruned, START_MS } from './store-samples.ts'
import { askedEvent, endEvent, newTask, trackLeased } from './task-samples.ts'

const other = (event: NewEvent, body: string, given: Partial<NewEvent> = {}): NewEvent => ({
  ...event,
  uid: newUid(),
  body: Buffer.from(body),
  ...given,
})

/** Appends them one after the other, at rising times. */
async function appendAll(store: OpenStore, events: readonly NewEvent[]): Promise<void> {
  for (const [at, event] of events.entries()) await store.append({ ...event, receivedAtMs: START_MS + at })
}

export function describeBeside(fixture: Fixture): void {
  describe('`beside`', () => {
    describeAboutId(fixture)
    describeAboutTask(fixture)
  })
}

const namesBeside = async (store: OpenStore, { uid }: NewEvent): Promise<readonly string[]> =>
  (await store.beside(uid)).map(({ relation, event }) => `${relation} ${event.uid}`)

function describeAboutId({ store }: Fixture): void {
  test('names nothing beside an event that stands alone, or that is not there', async () => {
    const alone = newEvent({ task: 'task_alone' })
    const elsewhere = { ...other(alone, 'elsewhere'), source: 'stripe-eu' }
    await appendAll(store(), [alone, elsewhere, newEvent({ task: 'task_alone' })])
    expect(await store().beside(alone.uid)).toEqual([])
    expect(await store().beside(newUid())).toEqual([])
    expect(await store().beside('no uid')).toEqual([])
  })

  test('names the events in conflict with one, the newest first; of one in conflict, first the event that has the id', async () => {
    const first = newEvent({ id: 'a\0b' })
    const [second, third] = [other(first, '2'), other(first, '3')]
    await appendAll(store(), [first, second, third, { ...third, uid: newUid() }])
    expect(await namesBeside(store(), first)).toEqual([`same_id ${third.uid}`, `same_id ${second.uid}`])
    expect(await namesBeside(store(), second)).toEqual([`has_id ${first.uid}`, `same_id ${third.uid}`])
    const [{ event } = {}] = await store().beside(second.uid)
    expect(event).toMatchObject({
      uid: first.uid,
      id: 'a\0b',
      type: first.type,
      status: 'accepted',
      receivedAtMs: START_MS,
    })
    expect(event).not.toHaveProperty('outcome')
  })

  test('names the last ten of many', async () => {
    const first = newEvent()
    const others = Array.from({ length: MAX_BESIDE + 2 }, (_, n) => other(first, `body ${n}`))
    await appendAll(store(), [first, ...others])
    const newest = others.toReversed().map(({ uid }) => `same_id ${uid}`)
    expect(await namesBeside(store(), first)).toEqual(newest.slice(0, MAX_BESIDE))
    const [last] = others.slice(-1) as [NewEvent]
    expect(await namesBeside(store(), last)).toEqual([`has_id ${first.uid}`, ...newest.slice(1, MAX_BESIDE)])
  })

  test('does not name an event that was not understood, which has no id', async () => {
    const cut = newEvent({ status: 'quarantined', reasons: ['why'], handlers: [] })
    const whole = other(cut, 'whole', { status: 'accepted', reasons: [] })
    await appendAll(store(), [cut, whole])
    expect(await store().beside(cut.uid)).toEqual([])
    expect(await store().beside(whole.uid)).toEqual([])
  })
}

function describeAboutTask({ store }: Fixture): void {
  test('names the events that came after one had ended their task, and of these first the one that ended it', async () => {
    const task = newTask()
    await store().track(task)
    const begun = newEvent({ task: task.id, id: 'begun' })
    const end = endEvent(task)
    const [late, later] = [endEvent(task), endEvent(task)]
    await appendAll(store(), [begun, end, late, later])
    expect(await namesBeside(store(), end)).toEqual([`same_task ${later.uid}`, `same_task ${late.uid}`])
    expect(await namesBeside(store(), late)).toEqual([`ended_task ${end.uid}`, `same_task ${later.uid}`])
    expect(await store().beside(begun.uid)).toEqual([])
  })

  test.each(['poll', 'expiry'] as const)('names the webhook that came after a %s had ended the task', async (by) => {
    const leased = await trackLeased(store())
    const [asked, late] = [askedEvent(leased, {}, by), endEvent(leased)]
    await appendAll(store(), [asked, late])
    expect(await namesBeside(store(), asked)).toEqual([`same_task ${late.uid}`])
    expect(await namesBeside(store(), late)).toEqual([`ended_task ${asked.uid}`])
  })

  test('names them also after the task was deleted, and both kinds of one event', async () => {
    const task = newTask()
    await store().track(task)
    const end = endEvent(task)
    const [late, conflict] = [endEvent(task), other(end, 'other')]
    await appendAll(store(), [end, late, conflict])
    await store().pruneTasks(START_MS + 86_400_000 * 400, 10)
    expect(await store().task(task.source, task.id)).toBeUndefined()
    expect(await namesBeside(store(), end)).toEqual([`same_id ${conflict.uid}`, `same_task ${late.uid}`])
    expect(await namesBeside(store(), late)).toEqual([`ended_task ${end.uid}`])
  })

  test('does not name what retention has deleted', async () => {
    const first = newEvent({ handlers: [], status: 'unhandled' })
    await store().append({ ...first, receivedAtMs: START_MS - 86_400_000 * 30 })
    const later = other(first, 'later')
    await store().append(later)
    expect(await namesBeside(store(), later)).toEqual([`has_id ${first.uid}`])
    expect(await pruned(store(), START_MS - 86_400_000)).toBe(1)
    expect(await namesBeside(store(), later)).toEqual([])
  })
}
