import { expect, onTestFinished, test } from 'vitest'
import { CommandError } from '../../src/cli/command.ts'
import { type FollowOptions, followEvents, OpsRetry } from '../../src/cli/follow-events.ts'
import { type OpsClient, ProblemError, type QueryParameters } from '../../src/cli/ops-client.ts'

const message = (id: number): string => `id: ${id}\nevent: event\ndata: {"uid":"${id}"}\n\n`

/** A service that answers each request with the next of these: chunks of a stream, or an error. */
function service(answers: readonly (readonly string[] | Error)[]) {
  const outages: unknown[] = []
  const asked: QueryParameters[] = []
  const ending = new AbortController()
  onTestFinished(() => ending.abort())
  const stream = async (_path: string, query: QueryParameters) => {
    const answer = answers[asked.push(query) - 1] ?? []
    if (answer instanceof Error) throw answer
    return (async function* () {
      for (const chunk of answer) {
        if (chunk === 'broken') throw new Error('ECONNRESET')
        yield Buffer.from(chunk)
      }
    })()
  }
  const follow = (options: Partial<FollowOptions> = {}) =>
    followEvents({ stream } as unknown as OpsClient, new OpsRetry(ending.signal, (error) => void outages.push(error)), {
      filter: { source: 'ai' },
      since: undefined,
      signal: ending.signal,
      ...options,
    })
  return { follow, asked, outages, end: () => ending.abort() }
}

type Events = Awaited<ReturnType<typeof followEvents>>

async function next(events: Events, count: number): Promise<readonly string[]> {
  const uids: string[] = []
  while (uids.length < count) uids.push((await events.next()).value.uid)
  return uids
}

test('events are read across chunks, and comments and other messages are no events', async () => {
  const all = `: hello\nid: 1\n\n${message(2)}: heartbeat\nid: 3\n\nevent: other\ndata: {}\n\n${message(4)}`
  for (const size of [1, 2, 3, 7, 100]) {
    const { follow } = service([all.match(new RegExp(`[^]{1,${size}}`, 'g')) ?? []])
    expect(await next(await follow(), 2)).toEqual(['2', '4'])
  }
})

test('after the end of a stream, or a broken connection, the events go on after the last one that was taken', async () => {
  const { follow, asked, outages } = service([
    [message(1), `${message(2)}id: 3\nevent: ev`],
    ['retry: 1\nid: 2\n\n', message(3), 'broken'],
    [message(4)],
  ])
  expect(await next(await follow({ since: '2026-11-27T00:00:00Z' }), 4)).toEqual(['1', '2', '3', '4'])
  expect(asked.map((query) => query.last_event_id)).toEqual([undefined, '2', '3'])
  expect(asked[2]).toEqual({ source: 'ai', since: '2026-11-27T00:00:00Z', last_event_id: '3' })
  expect(outages).toEqual([])
})

test('an outage is reported once at its beginning and once at its end, also if the service has too many readers', async () => {
  const full = new ProblemError(429, Buffer.from('{"title":"too many"}'))
  const { follow, outages } = service([[message(1)], new CommandError('no answer'), full, [message(2)]])
  expect(await next(await follow(), 2)).toEqual(['1', '2'])
  expect(outages).toEqual([expect.any(CommandError), undefined])
})

test('the events end with the signal; a service that does not answer at first, or refuses later, is an error', async () => {
  const { follow, end } = service([[message(1)]])
  const events = await follow()
  end()
  expect((await events.next()).done).toBe(true)
  await expect(service([new CommandError('no answer')]).follow()).rejects.toThrow('no answer')
  const refused = await service([[message(1)], new ProblemError(401, Buffer.from('{}'))]).follow()
  await next(refused, 1)
  await expect(refused.next()).rejects.toThrow('401')
})
