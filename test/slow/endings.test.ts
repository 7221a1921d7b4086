import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { eventually } from '../support/eventually.ts'
import { temporaryDirectory } from '../support/service.ts'
import type { ActName } from './poisons/acts/acts.ts'
import { postParcel } from './poisons/innocents.ts'
import { MAX_REMAINING_MS, type PoisonedService, startPoisoned } from './poisons/poisoned-service.ts'

/** However the service ends, and whatever its handlers are at, it ends in time and nothing that descends from it stays. */
const GRACE_MS = 4_000
/** A machine that is shared may come late to the end of the grace. */
const SLACK_MS = 500
/** Of each poison, at work at once. */
const OF_EACH = 4

/** None of them comes to an end by itself. */
const blocking = [
  'spin',
  'microtask-storm',
  'regular-expression',
  'atomics-wait',
  'exec-sleep',
  'pbkdf2',
  'never-settles',
] as const satisfies readonly ActName[]

/** Those that leave processes behind. */
const leaving = ['background-process', 'detached-process'] as const satisfies readonly ActName[]

interface AtWork {
  readonly service: PoisonedService
  /** What has begun so far, in order. */
  began(): string[]
}

/** A service in which the deadline does not come to help, with so much room for handlers. */
async function startWith(room: { readonly processes: number; readonly concurrency: number }): Promise<AtWork> {
  const directory = temporaryDirectory()
  const service = await startPoisoned(
    {
      SHUTDOWN_GRACE_MS: String(GRACE_MS),
      HANDLER_TIMEOUT_MS: '300000',
      HANDLER_CONCURRENCY: String(room.concurrency),
      HANDLER_PROCESSES: String(room.processes),
    },
    directory,
  )
  const file = join(directory, 'began.txt')
  return { service, began: () => (existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n') : []) }
}

async function send({ service }: AtWork, name: ActName): Promise<void> {
  const data = { began: join(service.directory, 'began.txt') }
  expect(await postParcel(service, { type: `poison.${name}`, data }, true)).toMatchObject({ status: 200 })
}

const hasBegun = (atWork: AtWork, names: readonly string[]): Promise<unknown> =>
  eventually(
    async () => atWork.began(),
    (began) => names.every((name) => began.includes(name)),
    20_000,
  )

/** One of each that blocks, each with a process to itself, and processes of their own that some have left behind. */
async function allAtWork(): Promise<AtWork> {
  const atWork = await startWith({ processes: blocking.length, concurrency: 1 })
  for (const names of [leaving, blocking]) {
    for (const name of names) await send(atWork, name)
    await hasBegun(atWork, names)
  }
  await eventually(
    async () => atWork.service.watch.survivors().map(({ command }) => command),
    (commands) => commands.filter((command) => command === 'sleep').length > leaving.length,
  )
  return atWork
}

describe.each([...blocking, ...leaving])(`with ${OF_EACH} attempts of the handler %s running,`, (name) => {
  test('SIGTERM ends the service within its grace period, and none of its processes is left', async () => {
    const atWork = await startWith({ processes: 2, concurrency: 16 })
    for (let n = 0; n < OF_EACH; n++) await send(atWork, name)
    await hasBegun(atWork, [name])
    const { ms, code, signal } = await atWork.service.end('SIGTERM', GRACE_MS + SLACK_MS)
    console.log(`${name}: ended ${Math.round(ms)} ms after SIGTERM with ${code ?? signal}`)
    expect.soft({ code, signal }).toEqual({ code: 0, signal: null })
    expect.soft(ms).toBeLessThan(GRACE_MS + SLACK_MS)
    expect.soft(await atWork.service.remaining()).toEqual([])
  })
})

const WITH_ALL = `with every blocking handler running, and processes that other handlers left behind`

test.each(['SIGTERM', 'SIGKILL', 'SIGABRT', 'SIGSEGV'] as const)(
  `${WITH_ALL}, %s ends the service, and ${MAX_REMAINING_MS} ms later none of its processes is left`,
  async (kind) => {
    const { service } = await allAtWork()
    const before = service.watch.survivors().length
    const { ms, code, signal } = await service.end(kind, GRACE_MS + SLACK_MS)
    const remaining = await service.remaining()
    console.log(
      `${kind}: ended after ${Math.round(ms)} ms with ${code ?? signal}; ${remaining.length} of ${before} left`,
    )
    expect.soft(ms).toBeLessThan(GRACE_MS + SLACK_MS)
    expect.soft(remaining).toEqual([])
  },
)
