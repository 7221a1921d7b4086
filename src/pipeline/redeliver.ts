import type { Logger } from 'pino'
import { isHoldfastError, messageOf } from '../domain/errors.ts'
import type { Source } from '../domain/source.ts'
import type { Replayer } from './replay.ts'

export interface Redelivery {
  readonly source: Source
  readonly uid: string
  /** Handlers whose deliveries were dead when it came. */
  readonly dead: readonly string[]
  readonly requestId: string
}

/**
 * What becomes of dead deliveries when their event comes again: where its source says so, they run again. Resolves once they
 * are pending, on disk; however many ask at once, each runs once. Rejects with `unavailable`: the sender may try again.
 */
export type Redeliver = (redelivery: Redelivery) => Promise<void>

export function createRedeliverer({ replayDead, log }: Pick<Replayer, 'replayDead'> & { log: Logger }): Redeliver {
  return async ({ source, uid, dead, requestId }) => {
    const about = { reqId: requestId, uid, source: source.name, handlers: dead }
    if (!source.redeliveryReplaysDead) {
      log.info(about, 'event came again: its dead deliveries stay dead')
      return
    }
    try {
      const handlers = await replayDead(uid)
      if (handlers.length > 0) log.info({ ...about, handlers }, 'event came again: its dead deliveries run again')
      else
        log.info(
          about,
          'event came again: none of its dead deliveries runs again, or another delivery of it has them run',
        )
    } catch (error) {
      if (isHoldfastError(error, 'unavailable')) throw error
      log.warn({ ...about, error: messageOf(error) }, 'event came again: its dead deliveries could not be run again')
    }
  }
}
