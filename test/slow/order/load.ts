import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { post, signedEvent } from '../../support/events.ts'
import { familyOf } from '../../support/family.ts'
import { handlersIn, type Service, startService, temporaryDirectory } from '../../support/service.ts'
import { latestPids, STEP, stepData, stepHandler } from './runs.ts'

const RETRY_MS = 20
const QUICK = { RETRY_BASE_MS: '20', RETRY_CAP_MS: '200', HANDLER_TIMEOUT_MS: '5000' }

/** Services with the handler that keeps an order, which are killed and started again. */
export interface OrderedServices {
  readonly services: Service[]
  /** What the runs of the handler wrote. */
  readonly file: string
  start(): Promise<void>
  killService(): Promise<void>
  /** Kills a handler process that ran something a moment ago. Gives whether there was one. */
  killHandlerProcess(): boolean
}

export async function startOrdered(
  count: number,
  environment: Readonly<Record<string, string>> = {},
): Promise<OrderedServices> {
  const directory = temporaryDirectory()
  const file = join(directory, 'runs.txt')
  writeFileSync(file, '')
  const HANDLERS_DIR = handlersIn(directory, { 'steps.ts': stepHandler(file) })
  const services: Service[] = []

  async function start(): Promise<void> {
    services.push(await startService({ HANDLERS_DIR, ...QUICK, ...environment }, directory))
  }

  await Promise.all(Array.from({ length: count }, start))
  return {
    services,
    file,
    start,
    async killService() {
      const [victim] = services.splice(Math.floor(Math.random() * services.length), 1)
      await victim?.kill()
    },
    killHandlerProcess() {
      const ours = new Set(services.flatMap(({ child }) => familyOf(child.pid ?? 0).map(({ pid }) => pid)))
      const pid = latestPids(file).findLast((each) => ours.has(each))
      try {
        return pid !== undefined && process.kill(pid, 'SIGKILL')
      } catch {
        // It has ended meanwhile.
        return false
      }
    },
  }
}

/**
 * Sends the events of one key one after the other, each until it is acknowledged, to any of the services. `onSent` is called after
 * each.
 */
export async function sendKey(
  services: () => readonly Service[],
  key: string,
  count: number,
  onSent: () => void,
): Promise<readonly string[]> {
  const uids: string[] = []
  for (let n = 0; n < count; n++) {
    const event = signedEvent(STEP, stepData(key, n), `evt_${key}_${n}`)
    for (let uid: string | undefined; uid === undefined; ) {
      const all = services()
      const target = all[Math.floor(Math.random() * all.length)]
      const answer = target && (await post(target.publicUrl, event).catch(() => undefined))
      if (answer?.status === 200) uids.push((uid = answer.uid))
      else await new Promise((resolve) => setTimeout(resolve, RETRY_MS))
    }
    onSent()
  }
  return uids
}
