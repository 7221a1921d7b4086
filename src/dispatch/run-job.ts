import { AsyncLocalStorage } from 'node:async_hooks'
import type { Logger } from 'pino'
import { toIso } from '../domain/clock.ts'
import { messageOf } from '../domain/errors.ts'
import type { WebhookEvent } from '../domain/event.ts'
import type { HandlerContext } from '../domain/handler.ts'
import { MAX_ERROR_LENGTH } from '../domain/limits.ts'
import type { Provider } from '../domain/provider.ts'
import { readStored } from '../domain/read-event.ts'
import type { RegisteredHandler } from '../domain/router.ts'
import type { Job, JobResult } from './protocol.ts'

/** What ends an attempt before its handler returns: a deadline, or an error that nobody in the handler awaited. */
type Verdict = Pick<JobResult, 'outcome' | 'error' | 'afterMs'>

export interface RunningJob {
  readonly job: Job
  readonly abort: (reason: Error) => void
  /** Decides the attempt, whatever the handler still does; only the first decision counts. */
  readonly decide: (verdict: Verdict) => void
  decided: boolean
}

/** Tells whose doing it is when something throws where nobody listens. */
export const currentJob = new AsyncLocalStorage<RunningJob>()

/** Thrown by `context.fail` and `context.retryAfter`; what was said stands even if the handler catches it. */
class Ended extends Error {
  override readonly name = 'HandlerEnded'
}

export interface JobEnvironment {
  readonly handlers: ReadonlyMap<string, RegisteredHandler>
  readonly providers: ReadonlyMap<string, Provider>
  readonly log: Logger
}

/**
 * Runs one attempt. `result` resolves when the attempt is decided, at the deadline at the latest; `returned` when the
 * handler has come back, which a handler that ignores its signal may never do.
 */
export function runJob(
  environment: JobEnvironment,
  job: Job,
): { running: RunningJob; result: Promise<JobResult>; returned: Promise<void> } {
  const startedAtMs = Date.now()
  const startedAt = performance.now()
  const controller = new AbortController()
  const { promise, resolve } = Promise.withResolvers<Verdict>()
  const running: RunningJob = {
    job,
    decided: false,
    abort: (reason) => controller.abort(reason),
    decide: (verdict) => {
      running.decided = true
      resolve(verdict)
    },
  }
  const deadline = setTimeout(
    () => {
      controller.abort(new DOMException('the handler passed its deadline', 'TimeoutError'))
      running.decide({ outcome: 'timeout', error: 'the handler passed its deadline' })
    },
    Math.max(0, job.deadlineAtMs - startedAtMs),
  )
  const returned = currentJob.run(running, () => callHandler(environment, running, controller.signal))
  const result = promise.then(
    (verdict): JobResult => ({
      ...verdict,
      startedAtMs,
      durationMs: Math.round((performance.now() - startedAt) * 1000) / 1000,
    }),
  )
  void promise.then(() => clearTimeout(deadline))
  return { running, result, returned }
}

async function callHandler(environment: JobEnvironment, running: RunningJob, signal: AbortSignal): Promise<void> {
  try {
    const { work } = running.job
    const handler = environment.handlers.get(work.handler)
    if (handler === undefined) throw new Error(`there is no handler ${work.handler}`)
    await handler.run(eventOf(environment.providers, running.job), contextOf(environment.log, running, signal))
    // A rejection that the handler left floating is reported once its microtasks are done: before success, not after.
    await new Promise(setImmediate)
    running.decide({ outcome: 'succeeded' })
  } catch (error) {
    running.decide({ outcome: 'failed', error: describe(error) })
  }
}

function eventOf(providers: ReadonlyMap<string, Provider>, { work }: Job): WebhookEvent {
  const { event, body } = work
  const provider = providers.get(event.provider)
  if (provider === undefined) throw new Error(`no source has provider ${event.provider} any more`)
  const received_at = toIso(event.receivedAtMs)
  const reading = readStored(provider, event, body)
  if (!reading.ok) throw new Error(`the event is not readable: ${reading.reasons.join('; ')}`)
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength)
  return {
    ...reading.fields,
    data: reading.fields.data as Record<string, unknown>,
    uid: event.uid,
    source: event.source,
    provider: event.provider,
    origin: event.origin,
    received_at,
    raw: () => bytes,
  }
}

function contextOf(log: Logger, running: RunningJob, signal: AbortSignal): HandlerContext {
  const { work } = running.job
  let own: Logger | undefined
  return {
    attempt: work.attempt,
    signal,
    get log() {
      own ??= log.child({
        handler: work.handler,
        uid: work.event.uid,
        source: work.event.source,
        type: work.event.type,
        attempt: work.attempt,
      })
      return own
    },
    fail: (reason) => {
      running.decide({ outcome: 'rejected', error: describe(reason) })
      throw new Ended(describe(reason))
    },
    retryAfter: (ms) => {
      const afterMs = ms > 0 ? Math.floor(ms) : 0
      running.decide({
        outcome: 'retry_after',
        afterMs,
        error: `the handler asked to be run again after ${afterMs} ms`,
      })
      throw new Ended(`retry after ${afterMs} ms`)
    },
  }
}

/** Total: what a handler throws need not be an error, nor even something that can be shown. */
export function describe(thrown: unknown): string {
  try {
    const text =
      thrown instanceof Error && thrown.name !== 'Error' ? `${thrown.name}: ${thrown.message}` : messageOf(thrown)
    return text.slice(0, MAX_ERROR_LENGTH)
  } catch {
    return 'something was thrown that cannot be shown'
  }
}
