import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { post, type SignedEvent, signedEvent } from '../support/events.ts'
import { eventually } from '../support/eventually.ts'
import { GITHUB_SECRET, githubDelivery } from '../support/github-sender.ts'
import { type LocalService, startLocal } from '../support/local-service.ts'
import { ownSchema } from '../support/postgres/schema.ts'
import { handlersIn, temporaryDirectory } from '../support/service.ts'

const AT_ONCE = 5

/** Two handlers of every event, one of which fails for as long as its file says so. */
async function startFailing(environment: Record<string, string>) {
  const directory = temporaryDirectory()
  const broken = join(directory, 'broken')
  const say = (word: string): void => writeFileSync(broken, word)
  say('yes')
  const handlers = handlersIn(directory, {
    'two.js': `import { readFileSync } from 'node:fs'
      export default (router) => {
        router.on('*', { name: 'sound' }, () => {})
        router.on('*', { name: 'broken' }, (event, { fail }) => {
          if (readFileSync(${JSON.stringify(broken)}, 'utf8') === 'yes') fail('not yet') })
      }`,
  })
  const service = await startLocal({
    SOURCES: 'github,ai',
    SOURCE_GITHUB_SECRET: GITHUB_SECRET,
    HANDLERS_DIR: handlers,
    ...environment,
  })
  return { service, mend: () => say('no') }
}

/** Once neither of its handlers has anything to do: the outcomes of each. */
async function outcomesOf(service: LocalService, uid: string): Promise<Record<string, readonly string[]>> {
  const { deliveries } = await eventually(
    () => service.api(`/v1/events/${uid}`),
    (event) => event.deliveries.every(({ state }: { state: string }) => state === 'succeeded' || state === 'dead'),
  )
  return Object.fromEntries(
    deliveries.map(({ handler, history }: { handler: string; history: { outcome: string }[] }) => [
      handler,
      history.map(({ outcome }) => outcome),
    ]),
  )
}

const linesOf = (service: LocalService, uid: string) =>
  service.logs.filter(({ msg, uid: of }) => of === uid && String(msg).startsWith('event came again'))

const sentFirst = async (service: LocalService, source: string, event: SignedEvent) => {
  const { uid } = await post(service.publicUrl, event, `/v1/webhooks/${source}`)
  expect(await outcomesOf(service, uid)).toEqual({ sound: ['succeeded'], broken: ['rejected'] })
  return { uid, again: () => post(service.publicUrl, event, `/v1/webhooks/${source}`) }
}

describe.each([
  ['the embedded store', (): Record<string, string> => ({})],
  ['PostgreSQL', (): Record<string, string> => ({ DATABASE_URL: ownSchema() })],
])('with %s, a webhook that is delivered again', (_, storage) => {
  test('runs the dead deliveries of its event again, and no others, once, where the provider redelivers at a person’s request', async () => {
    const { service, mend } = await startFailing(storage())
    const { uid, again } = await sentFirst(service, 'github', githubDelivery('push_like', { n: 1 }))
    mend()
    const answers = await Promise.all(Array.from({ length: AT_ONCE }, again))
    for (const answer of answers) expect(answer).toMatchObject({ status: 200, uid, duplicate: true })
    expect(await outcomesOf(service, uid)).toEqual({ sound: ['succeeded'], broken: ['rejected', 'succeeded'] })
    const runs = linesOf(service, uid).filter(({ msg }) => String(msg).endsWith('run again'))
    expect(runs).toMatchObject([{ level: 30, uid, source: 'github', handlers: ['broken'] }])
    expect(await again()).toMatchObject({ status: 200, uid, duplicate: true })
    expect(await outcomesOf(service, uid)).toEqual({ sound: ['succeeded'], broken: ['rejected', 'succeeded'] })
  })

  test('leaves the dead deliveries of its event dead where the provider retries by itself, and the log says so', async () => {
    const { service, mend } = await startFailing(storage())
    const { uid, again } = await sentFirst(service, 'ai', signedEvent('a.b'))
    mend()
    expect(await again()).toMatchObject({ status: 200, uid, duplicate: true })
    expect(await outcomesOf(service, uid)).toEqual({ sound: ['succeeded'], broken: ['rejected'] })
    const line = {
      level: 30,
      msg: 'event came again: its dead deliveries stay dead',
      source: 'ai',
      handlers: ['broken'],
    }
    expect(linesOf(service, uid)).toMatchObject([line])
  })
})

test('REDELIVERY_REPLAYS_DEAD overrides the default of the provider in both directions', async () => {
  const { service, mend } = await startFailing({
    SOURCE_GITHUB_REDELIVERY_REPLAYS_DEAD: 'false',
    SOURCE_AI_REDELIVERY_REPLAYS_DEAD: 'true',
  })
  const github = await sentFirst(service, 'github', githubDelivery('push_like', { n: 1 }))
  const ai = await sentFirst(service, 'ai', signedEvent('a.b'))
  mend()
  await github.again()
  await ai.again()
  expect(await outcomesOf(service, github.uid)).toEqual({ sound: ['succeeded'], broken: ['rejected'] })
  expect(await outcomesOf(service, ai.uid)).toEqual({ sound: ['succeeded'], broken: ['rejected', 'succeeded'] })
})
