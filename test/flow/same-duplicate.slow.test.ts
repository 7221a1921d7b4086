import { expect, test } from 'vitest'
import { type Acknowledgement, post, signedEvent } from '../support/events.ts'
import { startLocal } from '../support/local-service.ts'
import { ownSchema, queryIn } from '../support/postgres/schema.ts'

const REPLICAS = 3
const EVENTS = 1_000
/** Events that are under way at once, each at all replicas. */
const AT_ONCE = 8

test(`when ${REPLICAS} replicas receive the same event at once, ${EVENTS} times, one replica stores it and the others answer with the uid of that event`, {
  timeout: 60_000,
}, async () => {
  const databaseUrl = ownSchema()
  const environment = { DATABASE_URL: databaseUrl, LOG_LEVEL: 'warn' }
  const services = await Promise.all(Array.from({ length: REPLICAS }, () => startLocal(environment)))
  const urls = services.map(({ publicUrl }) => publicUrl)

  const uids = new Map<string, string>()
  const wrong: (readonly Acknowledgement[])[] = []
  const firstAt = urls.map(() => 0)
  let made = 0
  async function send(): Promise<void> {
    while (made < EVENTS) {
      const event = signedEvent('same.probe', { n: made++ })
      const answers = await Promise.all(urls.map((url) => post(url, event)))
      const first = answers.findIndex(({ duplicate }) => !duplicate)
      firstAt[first] = (firstAt[first] ?? 0) + 1
      uids.set(event.id, answers[first]?.uid ?? '')
      const isRight = ({ status, uid, duplicate }: Acknowledgement, at: number): boolean =>
        status === 200 && uid === answers[0]?.uid && duplicate === (at !== first)
      if (!answers.every(isRight)) wrong.push(answers)
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, send))

  expect(wrong).toEqual([])
  // It was a race, and each of them has won some.
  expect(Math.min(...firstAt)).toBeGreaterThan(0)
  const stored = await queryIn<{ id: string; uid: string }>(databaseUrl, 'SELECT id, uid FROM event')
  expect(stored).toHaveLength(EVENTS)
  expect(new Map(stored.map(({ id, uid }) => [id, uid]))).toEqual(uids)
})
