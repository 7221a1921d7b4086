import { once } from 'node:events'
import type { Config } from '../domain/config.ts'
import { ConfigurationError, messageOf } from '../domain/errors.ts'
import type { ReloadResult } from '../domain/reload.ts'
import type { Log } from '../log/log.ts'
import { type Holdfast, startHoldfast } from './app.ts'
import type { ReadConfig } from './config.ts'
import type { Reread } from './reread.ts'
import { watchModules } from './watch.ts'

/**
 * Starts the service, and reloads it whenever module files change. If modules have faults at the start, logs these and tries again
 * after each change. Rejects like `startHoldfast` if the fault is elsewhere (in the configuration, a store or port in use), and with the
 * reason of `signal` if that is aborted before the service has started.
 */
export async function startDev(read: ReadConfig, log: Log, signal: AbortSignal, reread?: Reread): Promise<Holdfast> {
  const changes = new EventTarget()
  const endWatch = watchModules({
    directories: directoriesOf(read.config),
    onChange: () => changes.dispatchEvent(new Event('change')),
    onFault: (directory, error) =>
      log.log.warn(
        { directory, error: messageOf(error) },
        'a directory cannot be watched: its changes are not reloaded',
      ),
  })
  try {
    const holdfast = await startOnceSound(read, log, changes, signal, reread)
    let told: ReloadResult | undefined
    const tellOnce = (result: ReloadResult): void => {
      // One reload may be the result of several changes.
      if (result !== told) tell(result, log)
      told = result
    }
    changes.addEventListener('change', () => void holdfast.reload().then(tellOnce))
    const stop = (): Promise<void> => {
      endWatch()
      return holdfast.stop()
    }
    return { ...holdfast, stop }
  } catch (error) {
    endWatch()
    throw error
  }
}

const directoriesOf = ({ handlersDir, providersDir }: Config): readonly string[] =>
  providersDir === undefined ? [handlersDir] : [handlersDir, providersDir]

async function startOnceSound(
  read: ReadConfig,
  log: Log,
  changes: EventTarget,
  signal: AbortSignal,
  reread: Reread | undefined,
): Promise<Holdfast> {
  for (;;) {
    const changed = once(changes, 'change', { signal })
    changed.catch(() => {})
    try {
      return await startHoldfast(read, log, {}, reread)
    } catch (error) {
      if (!(error instanceof ConfigurationError && error.isOfModules) || read.faults.length > 0) throw error
      for (const fault of error.faults) log.log.error(fault)
      log.log.warn('not started: waiting for a change of a module')
    }
    await changed.catch(() => signal.throwIfAborted())
  }
}

function tell(result: ReloadResult, { log }: Log): void {
  if (!result.ok) {
    for (const fault of result.faults) log.error(fault)
    log.error('not reloaded: the old handlers stay')
    return
  }
  const { durationMs, handlers, changes: all } = result
  const { added, removed } = all.handlers
  const changes = [...added.map((name) => `+${name}`), ...removed.map((name) => `-${name}`)]
  const shown = changes.length === 0 ? '' : ` (${changes.join(', ')})`
  log.info(`reloaded in ${Math.round(durationMs)} ms: ${handlers} handler${handlers === 1 ? '' : 's'}${shown}`)
}
