import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { post, type SignedEvent, signedEvent, signedHeaders } from '../support/events.ts'
import { eventually } from '../support/eventually.ts'
import { ownSchema } from '../support/postgres/schema.ts'
import { handlersIn, type Service, startService, temporaryDirectory } from '../support/service.ts'

/** A look-ahead, which only the process of a handler judges. */
const beginsWith = (letter: string): string => `^(?=${letter})`

/** One thing at a time; one that says so waits until it is let go, and holds up those after it. */
const modules = (pattern: string) => ({
  'things.js': `
    import { existsSync } from 'node:fs'
    const schema = { properties: { name: { pattern: '${pattern}' } } }
    export default (router) => {
      router.on('thing', { name: 'thing', concurrency: 1, schema }, async (event, context) => {
        const { until } = event.data
        while (until && !existsSync(until)) await new Promise((resolve) => setTimeout(resolve, 20))
        context.log.info('handled')
      })
      router.on('right.thing', { name: 'right' }, (event, context) => context.log.info('handled'))
    }
  `,
})

interface Place {
  readonly start: (pattern?: string) => Promise<Service>
  readonly hold: string
}

function place(storage: Record<string, string>): Place {
  const directory = temporaryDirectory()
  return {
    start: (pattern = beginsWith('a')) => {
      const HANDLERS_DIR = handlersIn(directory, modules(pattern))
      return startService({ HANDLERS_DIR, HANDLER_PROCESSES: '1', ...storage }, directory)
    },
    hold: join(directory, 'go'),
  }
}

/** The same event again: the very bytes, signed anew. */
const again = ({ id, body }: SignedEvent): SignedEvent => ({ id, body, headers: signedHeaders(body) })

const status = (service: Service, uid: string, expected: string) =>
  eventually(
    () => service.api(`/v1/events/${uid}`),
    (event) => event.status === expected,
  )
const handled = (service: Service, uid: string, handler = 'thing') =>
  service.logged((line) => line.uid === uid && line.handler === handler && line.msg === 'handled')

describe.each([
  ['the embedded store', (): Record<string, string> => ({})],
  ['PostgreSQL', (): Record<string, string> => ({ DATABASE_URL: ownSchema() })],
])('with %s, where only a handler process judges the schema of an event,', (_, storage) => {
  test.each([
    ['', async (service: Service) => service],
    [
      ', also where the service is killed meanwhile',
      async (service: Service, { start }: Place) => {
        await service.kill()
        return start()
      },
    ],
  ])(
    'a corrected event that comes before the first is judged runs once the first is quarantined%s',
    async (__, meanwhile) => {
      const where = place(storage())
      const before = await where.start()
      await post(before.publicUrl, signedEvent('thing', { name: 'a', until: where.hold }))
      const events = [
        signedEvent('thing', { name: 'b' }, 'one'),
        signedEvent('thing', { name: 'a' }, 'one'),
        signedEvent('thing', { name: 'ab' }, 'one'),
        signedEvent('thing', { name: 'b' }, 'two'),
        signedEvent('right.thing', {}, 'two'),
      ]
      const uids: string[] = []
      for (const event of events) {
        const answer = await post(before.publicUrl, event)
        expect(answer).toMatchObject({ status: 200, duplicate: false })
        uids.push(answer.uid)
      }
      const [first = '', corrected = '', third = '', second = '', retyped = ''] = uids
      for (const uid of [corrected, third, retyped]) await status(before, uid, 'conflict')

      const service = await meanwhile(before, where)
      writeFileSync(where.hold, '')
      await Promise.all([handled(service, corrected), handled(service, retyped, 'right')])
      for (const uid of [first, second]) await status(service, uid, 'quarantined')
      await status(service, third, 'conflict')
      const [bad, good] = events as [SignedEvent, SignedEvent]
      expect(await post(service.publicUrl, again(good))).toMatchObject({ uid: corrected, duplicate: true })
      expect(await post(service.publicUrl, again(bad))).toMatchObject({ uid: first, duplicate: true })
      expect(await service.stop()).toBe(0)
    },
  )

  test('an event that is sent again is a duplicate of the quarantined one, and runs once its schema is mended', async () => {
    const where = place(storage())
    const bad = signedEvent('thing', { name: 'b' })
    const one = await where.start()
    const { uid } = await post(one.publicUrl, bad)
    await status(one, uid, 'quarantined')
    for (const ___ of [1, 2]) expect(await post(one.publicUrl, again(bad))).toMatchObject({ uid, duplicate: true })
    expect(await one.stop()).toBe(0)

    const two = await where.start()
    expect(await post(two.publicUrl, again(bad))).toMatchObject({ uid, duplicate: true })
    expect((await two.api('/v1/deliveries?state=dead')).items).toHaveLength(1)
    expect(await two.stop()).toBe(0)

    const mended = await where.start(beginsWith('b'))
    const run = await post(mended.publicUrl, again(bad))
    expect(run).toMatchObject({ status: 200, duplicate: false })
    await handled(mended, run.uid)
    expect(await post(mended.publicUrl, again(bad))).toMatchObject({ uid: run.uid, duplicate: true })
    expect(await mended.api(`/v1/events/${uid}`)).toMatchObject({ status: 'quarantined' })
    expect(await mended.stop()).toBe(0)
  })
})
