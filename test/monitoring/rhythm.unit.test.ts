import { describe, expect, test } from 'vitest'
import { type Activity, LEARNED_MINUTES, learnRhythm, ownTime, type Rhythm } from '../../src/monitoring/rhythm.ts'
import { type Random, seededRandom } from '../support/random.ts'

const HOUR = 60
const DAY = 24 * HOUR
/** A Monday, 0:00 UTC, in minutes since the epoch. */
const MONDAY = Date.UTC(2026, 9, 5) / 60_000

/** Whether a webhook comes in this minute. */
type Sender = (minute: number, random: Random) => boolean

const dayOf = (minute: number) => Math.floor((minute - MONDAY) / DAY) % 7
const minuteOfDay = (minute: number) => (minute - MONDAY) % DAY
const poisson =
  (perHour: number): Sender =>
  (_minute, random) =>
    random() < perHour / HOUR
const during =
  (from: number, to: number, days: readonly number[], sender: Sender): Sender =>
  (minute, random) =>
    days.includes(dayOf(minute)) &&
    minuteOfDay(minute) >= from * HOUR &&
    minuteOfDay(minute) < to * HOUR &&
    sender(minute, random)
const WORKDAYS = [0, 1, 2, 3, 4]
const ALL_DAYS = [...WORKDAYS, 5, 6]

const SENDERS: Readonly<Record<string, Sender>> = {
  'many webhooks a minute, day and night': poisson(600),
  'one webhook in ten minutes, day and night': poisson(6),
  'a webhook every six hours, at any time': poisson(1 / 6),
  'many webhooks in office hours': during(8, 17, WORKDAYS, poisson(120)),
  'a few webhooks in office hours': during(8, 17, WORKDAYS, poisson(3)),
  'webhooks every evening': during(18, 23, ALL_DAYS, poisson(20)),
  'one webhook each day at nine, ten minutes early or late': (minute, random) =>
    Math.abs(minuteOfDay(minute) - 9 * HOUR) <= 10 && random() < 0.5,
  'a batch of webhooks on each workday at two': during(2, 3, WORKDAYS, poisson(60)),
  'a webhook now and then, three a week': poisson(3 / 168),
}

/** A source that sends from the first minute on; the service runs all the time unless told otherwise. */
class Source {
  readonly active: number[] = []
  readonly #random
  readonly #sender
  readonly #ran

  constructor(sender: Sender, seed: number, ran: (minute: number) => boolean = () => true) {
    this.#sender = sender
    this.#random = seededRandom(seed)
    this.#ran = ran
  }

  runTo(minute: number): void {
    const from = this.#until
    for (let at = from; at < minute; at++) if (this.#sender(at, this.#random) && this.#ran(at)) this.active.push(at)
    this.#until = Math.max(from, minute)
  }
  #until = MONDAY

  activityAt(minute: number): Activity {
    const fromMinute = minute - LEARNED_MINUTES
    const active = new Uint8Array(LEARNED_MINUTES)
    const ran = new Uint8Array(LEARNED_MINUTES)
    for (const each of this.active) if (each >= fromMinute && each < minute) active[each - fromMinute] = 1
    for (let at = 0; at < LEARNED_MINUTES; at++)
      ran[at] = fromMinute + at >= MONDAY && this.#ran(fromMinute + at) ? 1 : 0
    return { fromMinute, active, ran }
  }
}

/** How often the rhythm is learned again. */
const LEARN_EVERY = 2 * DAY

/** The minutes at which a silence was found, each silence once. */
function alarmsOf(source: Source, from: number, to: number, ran: (minute: number) => boolean = () => true): number[] {
  const learned = new Map<number, Rhythm>()
  const rhythmAt = (now: number): Rhythm => {
    const at = now - ((now - from) % LEARN_EVERY)
    const rhythm = learned.get(at) ?? learnRhythm(source.activityAt(at))
    learned.set(at, rhythm)
    return rhythm
  }
  return [...source.active, to].flatMap((next, at, all) => {
    const last = all[at - 1] ?? next
    for (let now = Math.max(from, last + 10); now < next; now++) {
      const rhythm = rhythmAt(now)
      if (rhythm.limit !== undefined && ownTime(rhythm, ran, last, now) > rhythm.limit) return [now]
    }
    return []
  })
}

describe.each(Object.keys(SENDERS))('a source that sends %s', (name) => {
  const sender = SENDERS[name] as Sender

  test('is not found silent while it sends', () => {
    const source = new Source(sender, 1)
    source.runTo(MONDAY + 49 * DAY)
    expect(alarmsOf(source, MONDAY + DAY, MONDAY + 49 * DAY)).toEqual([])
  })
})

/** When a source stops on a Wednesday at eleven after five weeks, after how many minutes that is found. */
function foundAfter(sender: Sender, stopsAt = MONDAY + 37 * DAY + 11 * HOUR): number {
  const source = new Source(sender, 5)
  source.runTo(stopsAt)
  const [alarm = Number.POSITIVE_INFINITY] = alarmsOf(source, stopsAt, stopsAt + 10 * DAY)
  return alarm - stopsAt
}

test('a source that falls silent is found so, as soon as its rhythm allows', () => {
  const sender = (name: string) => SENDERS[name] as Sender
  expect(foundAfter(sender('many webhooks a minute, day and night'))).toBeLessThanOrEqual(12)
  expect(foundAfter(sender('one webhook in ten minutes, day and night'))).toBeLessThan(3 * HOUR)
  expect(foundAfter(sender('many webhooks in office hours'))).toBeLessThan(30)
  expect(foundAfter(sender('a few webhooks in office hours'))).toBeLessThan(24 * HOUR)
  expect(foundAfter(sender('webhooks every evening'))).toBeLessThan(10 * HOUR)
  expect(foundAfter(sender('one webhook each day at nine, ten minutes early or late'))).toBeLessThan(25 * HOUR)
  expect(foundAfter(sender('a webhook every six hours, at any time'))).toBeLessThan(5 * DAY)
})

test('a source of office hours that stops on Friday evening is found silent on Monday, and not at the weekend', () => {
  const friday = MONDAY + 32 * DAY + 16 * HOUR + 50
  const after = foundAfter(SENDERS['many webhooks in office hours'] as Sender, friday)
  expect(after).toBeGreaterThan(2.5 * DAY)
  expect(after).toBeLessThan(3 * DAY)
})

test('a source that has an hour of summer time less is not found silent in the morning', () => {
  const change = MONDAY + 35 * DAY
  const shifted: Sender = (minute, random) =>
    (SENDERS['many webhooks in office hours'] as Sender)(minute < change ? minute : minute - HOUR, random)
  const source = new Source(shifted, 3)
  source.runTo(change + 5 * DAY)
  expect(alarmsOf(source, change - DAY, change + 5 * DAY)).toEqual([])
})

test('a fresh source has no rhythm, and neither has one with a handful of webhooks', () => {
  const fresh = new Source(poisson(60), 1)
  fresh.runTo(MONDAY + 1.9 * DAY)
  expect(learnRhythm(fresh.activityAt(MONDAY + 1.9 * DAY)).limit).toBeUndefined()
  const rare = new Source((minute) => (minute - MONDAY) % (5 * DAY) === 0, 1)
  rare.runTo(MONDAY + 30 * DAY)
  expect(learnRhythm(rare.activityAt(MONDAY + 30 * DAY))).toMatchObject({ limit: undefined, usualGap: 5 * DAY })
  expect(learnRhythm(new Source(() => false, 1).activityAt(MONDAY + DAY)).limit).toBeUndefined()
})

test('a fresh source of office hours is not found silent on its first weekend', () => {
  const source = new Source(SENDERS['many webhooks in office hours'] as Sender, 1)
  source.runTo(MONDAY + 7 * DAY)
  expect(alarmsOf(source, MONDAY, MONDAY + 7 * DAY)).toEqual([])
})

test('a fresh source that sends day and night is found silent within hours', () => {
  const stopsAt = MONDAY + 4 * DAY
  expect(foundAfter(SENDERS['many webhooks a minute, day and night'] as Sender, stopsAt)).toBeLessThanOrEqual(12)
})

test('the time in which the service did not run is not a silence, neither now nor in the past', () => {
  const ran = (minute: number) => (minute - MONDAY) % (3 * DAY) > 5 * HOUR
  const source = new Source(SENDERS['one webhook in ten minutes, day and night'] as Sender, 2, ran)
  source.runTo(MONDAY + 40 * DAY)
  expect(alarmsOf(source, MONDAY + 20 * DAY, MONDAY + 40 * DAY, ran)).toEqual([])
  const rhythm = learnRhythm(source.activityAt(MONDAY + 39 * DAY))
  expect(rhythm.limit).toBeLessThan(4 * HOUR)
})

test('an outage that is over does not make the next one last', () => {
  const outage = MONDAY + 30 * DAY
  const sender: Sender = (minute, random) =>
    (minute < outage || minute > outage + DAY) &&
    (SENDERS['many webhooks a minute, day and night'] as Sender)(minute, random)
  expect(foundAfter(sender)).toBeLessThan(20)
})
