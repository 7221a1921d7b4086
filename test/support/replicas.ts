import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { eventually } from './eventually.ts'
import { queryIn } from './postgres/schema.ts'
import { handlersIn, type Service, startService, temporaryDirectory } from './service.ts'

/** Types of events, by what their handler does at first. */
export const PROBES = { steady: 'probe.steady', flaky: 'probe.flaky', slow: 'probe.slow' } as const

/** Of events whose handler takes so long. It needs another HANDLER_TIMEOUT_MS. */
export const LONG = 'probe.long'
export const LONG_MS = 3_000

const handlersTo = (file: string): string => `
  import { appendFileSync } from 'node:fs'
  const handled = (event) => appendFileSync(${JSON.stringify(file)}, event.uid + '\\n')
  export default (router) => {
    router.on('${PROBES.steady}', { name: 'steady' }, handled)
    router.on('${PROBES.flaky}', { name: 'flaky' }, (event, { attempt }) => {
      if (attempt === 1) throw new Error('not at first')
      handled(event)
    })
    router.on('${PROBES.slow}', { name: 'slow' }, async (event) => {
      await new Promise((resolve) => setTimeout(resolve, 300))
      handled(event)
    })
    router.on('${LONG}', { name: 'long' }, async (event) => {
      await new Promise((resolve) => setTimeout(resolve, ${LONG_MS}))
      handled(event)
    })
  }
`

/** Processes that share one database. */
export interface Replicas {
  /** Those that run now. */
  readonly services: Service[]
  readonly urls: () => string[]
  /** Starts one more. */
  start(): Promise<Service>
  /** Ends one with SIGKILL. */
  kill(service: Service): Promise<void>
  /** Uids of the events that a handler has come to the end of. */
  handled(): Set<string>
  /** Resolves when nothing waits for a handler any more. */
  settled(withinMs: number): Promise<void>
}

const QUICK = { RETRY_BASE_MS: '50', HANDLER_TIMEOUT_MS: '2000' }

/** Replicas whose handlers write down what they have handled. Gone when the test is over. */
export async function startReplicas(
  databaseUrl: string,
  count: number,
  environment: Readonly<Record<string, string>> = {},
): Promise<Replicas> {
  const directory = temporaryDirectory()
  const file = join(directory, 'handled.txt')
  writeFileSync(file, '')
  const handlers = handlersIn(directory, { 'probes.ts': handlersTo(file) })
  const services: Service[] = []

  async function start(): Promise<Service> {
    const service = await startService(
      { DATABASE_URL: databaseUrl, HANDLERS_DIR: handlers, ...QUICK, ...environment },
      directory,
    )
    services.push(service)
    return service
  }

  const states = `SELECT state, count(*) AS n FROM delivery GROUP BY state`
  await Promise.all(Array.from({ length: count }, start))
  return {
    services,
    urls: () => services.map(({ publicUrl }) => publicUrl),
    start,
    async kill(service) {
      services.splice(services.indexOf(service), 1)
      await service.kill()
    },
    handled: () => new Set(readFileSync(file, 'utf8').split('\n')),
    async settled(withinMs) {
      await eventually(
        () => queryIn<{ state: string }>(databaseUrl, states),
        (rows) => rows.every(({ state }) => state === 'succeeded' || state === 'dead'),
        withinMs,
      )
    },
  }
}

/** What `/readyz` says to operators: its status, and the reasons why not. */
export async function readiness({ opsUrl }: Service): Promise<{ status: number; reasons: readonly string[] }> {
  const answer = await fetch(`${opsUrl}/readyz`)
  const { reasons = [] } = (await answer.json()) as { reasons?: readonly string[] }
  return { status: answer.status, reasons }
}

/** Of what was acknowledged: which events are not stored under the uid that was told. */
export async function missing(databaseUrl: string, ledger: ReadonlyMap<string, string>): Promise<string[]> {
  const rows = await queryIn<{ id: string; uid: string }>(databaseUrl, "SELECT id, uid FROM event WHERE source = 'ai'")
  const stored = new Map(rows.map(({ id, uid }) => [id, uid]))
  return [...ledger].filter(([id, uid]) => stored.get(id) !== uid).map(([id]) => id)
}

/** Source and id of events that were accepted more than once. */
export const acceptedTwice = (databaseUrl: string): Promise<object[]> =>
  queryIn(databaseUrl, "SELECT source, id FROM event WHERE status = 'accepted' GROUP BY source, id HAVING count(*) > 1")

export const hasExited = ({ child }: Service): boolean => child.exitCode !== null || child.signalCode !== null

/** States other than succeeded in which there are deliveries. */
export const unsucceeded = (databaseUrl: string): Promise<object[]> =>
  queryIn(databaseUrl, "SELECT state, count(*) AS n FROM delivery WHERE state <> 'succeeded' GROUP BY state")
