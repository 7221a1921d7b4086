import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { onTestFinished } from 'vitest'
import { eventually } from '../../support/eventually.ts'
import { type FamilyWatch, killAll, watchFamily } from '../../support/family-watch.ts'
import { type Service, startService, temporaryDirectory } from '../../support/service.ts'

/** After the service's end, for everything that descends from it to be gone. */
export const MAX_REMAINING_MS = 2_000

export interface PoisonedService extends Service {
  readonly pid: number
  readonly watch: FamilyWatch
  /** Sends a signal and gives how long the service then took to end, with what code or by what signal. */
  end(signal: NodeJS.Signals, withinMs: number): Promise<Ending>
  /** Commands of what still lives, once nothing does or the time for that is over. */
  remaining(): Promise<string[]>
}

export interface Ending {
  readonly ms: number
  readonly code: number | null
  /** SIGKILL also where it did not end in time. */
  readonly signal: NodeJS.Signals | null
}

/** The real service with handlers for all poisons. Whatever it leaves behind is gone when the test is over. */
export async function startPoisoned(
  environment: Readonly<Record<string, string>>,
  directory = temporaryDirectory(),
): Promise<PoisonedService> {
  const mark = `poisoned-${randomUUID()}`
  const service = await startService(
    { HANDLERS_DIR: join(import.meta.dirname, 'handlers'), POISONED_TEST_MARK: mark, ...environment },
    directory,
  )
  const pid = Number(service.child.pid)
  const watch = watchFamily(pid, mark)
  onTestFinished(() => {
    watch.stop()
    killAll(watch.survivors())
  })
  return {
    ...service,
    pid,
    watch,
    async end(signal, withinMs) {
      const startedAt = performance.now()
      const ended = hasEnded(service) ? Promise.resolve() : once(service.child, 'exit')
      service.child.kill(signal)
      const inTime = await Promise.race([ended.then(() => true), sleep(withinMs, false)])
      const ms = performance.now() - startedAt
      if (!inTime) service.child.kill('SIGKILL')
      await ended
      return { ms, code: service.child.exitCode, signal: service.child.signalCode }
    },
    async remaining() {
      const living = async (): Promise<string[]> => watch.survivors().map(({ command }) => command)
      return eventually(living, ({ length }) => length === 0, MAX_REMAINING_MS).catch(living)
    },
  }
}

export const hasEnded = ({ child }: Service): boolean => child.exitCode !== null || child.signalCode !== null
