import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { AI_SECRET } from '../support/ai-source.ts'
import { post, signedEvent } from '../support/events.ts'
import { eventually } from '../support/eventually.ts'
import { ownSchema } from '../support/postgres/schema.ts'
import { handlersIn, type Service, startService, temporaryDirectory } from '../support/service.ts'

const REPLICAS = 3
/** Events of each of the two sources that are sent at the same time, again and again. */
const SENDERS = 4
/** From the answer to a pause to the last start of an attempt. */
const MAX_LATE_MS = 1_000
/** How long the load goes on while something is paused. */
const PAUSED_MS = 4_000

interface Start {
  readonly uid: string
  readonly source: string
  readonly handler: string
  readonly atMs: number
}

/** Each start of an attempt is a line in the file. */
const handlersTo = (file: string): string => `
  import { appendFileSync } from 'node:fs'
  const note = (handler) => async (event) => {
    appendFileSync(${JSON.stringify(file)}, JSON.stringify({ uid: event.uid, source: event.source, handler, atMs: Date.now() }) + '\\n')
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  export default (router) => {
    router.on('probe.a', { name: 'one' }, note('one'))
    router.on('probe.a', { name: 'two' }, note('two'))
  }
`

async function startFleet() {
  const directory = temporaryDirectory()
  const file = join(directory, 'starts.txt')
  writeFileSync(file, '')
  const environment = {
    DATABASE_URL: ownSchema(),
    HANDLERS_DIR: handlersIn(directory, { 'probes.ts': handlersTo(file) }),
    SOURCES: 'ai,other',
    SOURCE_OTHER_PROVIDER: 'ai',
    SOURCE_OTHER_SECRET: AI_SECRET,
  }
  const services = await Promise.all(Array.from({ length: REPLICAS }, () => startService(environment, directory)))
  const starts = (): readonly Start[] =>
    readFileSync(file, 'utf8')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as Start)
  return { services, starts }
}

/** Sends events of both sources to all replicas in turn, until it is stopped. Gives the uids of what was acknowledged. */
function startLoad(services: readonly Service[]) {
  const uids: string[] = []
  let isStopped = false
  const send = async (source: string, at: number): Promise<void> => {
    for (let turn = at; !isStopped; turn++) {
      const { publicUrl = '' } = services[turn % services.length] ?? {}
      const { status, uid } = await post(publicUrl, signedEvent('probe.a'), `/v1/webhooks/${source}`)
      expect(status).toBe(200)
      uids.push(uid)
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }
  const senders = ['ai', 'other'].flatMap((source) => Array.from({ length: SENDERS }, (_, at) => send(source, at)))
  return async (): Promise<readonly string[]> => {
    isStopped = true
    await Promise.all(senders)
    return uids
  }
}

test.each([
  ['handlers', 'one', ({ handler }: Start) => handler === 'one'],
  ['sources', 'other', ({ source }: Start) => source === 'other'],
] as const)(
  'of three replicas under load, none starts an attempt of what is paused (%s) a second later, and all run once after the resume',
  async (kind, name, isPaused) => {
    const { services, starts } = await startFleet()
    const stopLoad = startLoad(services)
    const [first, second] = services
    if (first === undefined || second === undefined) throw new Error('two were started')
    await eventually(
      async () => starts().filter(isPaused).length,
      (count) => count > 50,
    )

    await first.api(`/v1/${kind}/${name}/pause`, { method: 'POST' })
    const pausedAtMs = Date.now()
    // The time for which nothing may start is what is tested.
    await new Promise((resolve) => setTimeout(resolve, PAUSED_MS))
    const { items } = (await second.api(`/v1/${kind}`)) as { items: { name: string; paused: object | null }[] }
    expect(items.find((item) => item.name === name)?.paused).not.toBeNull()
    const during = starts().filter(({ atMs }) => atMs > pausedAtMs)
    expect(during.filter((start) => isPaused(start) && start.atMs > pausedAtMs + MAX_LATE_MS)).toEqual([])
    expect(during.filter((start) => !isPaused(start)).length).toBeGreaterThan(50)

    await second.api(`/v1/${kind}/${name}/resume`, { method: 'POST' })
    const uids = await stopLoad()
    const wanted = uids.flatMap((uid) => [`${uid} one`, `${uid} two`]).toSorted()
    const started = () =>
      starts()
        .map(({ uid, handler }) => `${uid} ${handler}`)
        .toSorted()
    await eventually(
      async () => started().length,
      (count) => count >= wanted.length,
      120_000,
    )
    expect(started()).toEqual(wanted)
    const { items: open } = (await first.api('/v1/deliveries?state=pending')) as { items: object[] }
    expect(open).toEqual([])
  },
)
