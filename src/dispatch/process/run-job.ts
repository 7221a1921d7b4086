import { AsyncLocalStorage } from 'node:async_hooks'
import type { Logger } from 'pino'
import { toIso } from '../../domain/clock.ts'
import type { HandlerResult } from '../../domain/delivery.ts'
import type { EventFields, WebhookEvent } from '../../domain/event.ts'
import type { HandlerContext } from '../../domain/handler.ts'
import { MAX_ERROR_LENGTH } from '../../domain/limits.ts'
import type { Provider } from '../../domain/provider.ts'
import type { RegisteredHandler } from '../../domain/router.ts'
import { judgementId } from '../../pipeline/judgement.ts'
import { readStored } from '../../pipeline/read-poll-answer.ts'
import type { DeferredChecks } from '../../pipeline/routes.ts'
import type { Job } from '../ipc/messages.ts'
import { detailOf, lineOf } from './error-detail.ts'

/** The longest wait that is taken for one: a year. A handler that asks for more has given a moment in its place, perhaps. */
const MAX_AFTER_MS = 366 * 86_400_000
/** Characters of what is no time that are shown. */
const MAX_SHOWN_LENGTH = 64

/** What ends an attempt before its handler returns: a deadline, or an error that nobody in the handler awaited. */
type Verdict = Pick<HandlerResult, 'outcome' | 'error' | 'detail' | 'afterMs' | 'quarantine' | 'judgement'>

export interface RunningJob {
  readonly job: Job
  /** Carries what tells the attempt. */
  readonly log: () => Logger
  readonly abort: (reason: Error) => void
  /** Decides the attempt, whatever the handler still does; only the first decision counts. */
  readonly decide: (verdict: Verdict) => void
  decided: boolean
}

/** Tells whose doing it is when something throws where nobody listens. */
export const currentJob = new AsyncLocalStorage<RunningJob>()

/** A timer that is so late was held up by another attempt; and how long this one then has for what it could have done before. */
const HELD_MS = 20
const HEARING_MS = 200

/** Thrown by `context.fail` and `context.retryAfter`; what was said stands even if the handler catches it. */
class Ended extends Error {
  override readonly name = 'HandlerEnded'
}

export interface JobEnvironment {
  readonly handlers: ReadonlyMap<string, RegisteredHandler>
  readonly providers: ReadonlyMap<string, Provider>
  readonly log: Logger
  /** Undefined: no schema is a user's. */
  readonly deferredChecks?: DeferredChecks
}

/**
 * Runs one attempt. `result` resolves when the attempt is decided, at the deadline at the latest; `returned` when the
 * handler has come back, which a handler that ignores its signal may never do.
 */
export function runJob(
  environment: JobEnvironment,
  job: Job,
): { running: RunningJob; result: Promise<HandlerResult>; returned: Promise<void> } {
  const startedAtMs = Date.now()
  const startedAt = performance.now()
  const controller = new AbortController()
  const { promise, resolve } = Promise.withResolvers<Verdict>()
  const running: RunningJob = {
    job,
    decided: false,
    log: once(() => logOf(environment.log, job)),
    abort: (reason) => controller.abort(reason),
    decide: (verdict) => {
      running.decided = true
      resolve(verdict)
    },
  }
  const stopClock = atDeadline(Math.max(0, job.deadlineAtMs - startedAtMs), () => {
    controller.abort(new DOMException('the handler passed its deadline', 'TimeoutError'))
    running.decide({ outcome: 'timeout', error: 'the handler passed its deadline' })
  })
  const returned = currentJob.run(running, () => callHandler(environment, running, controller.signal))
  const result = promise.then(
    (verdict): HandlerResult => ({
      ...verdict,
      startedAtMs,
      durationMs: Math.round((performance.now() - startedAt) * 1000) / 1000,
    }),
  )
  void promise.then(stopClock)
  return { running, result, returned }
}

/** Gives what calls it off. Where another held the loop past the deadline, what was done meanwhile is heard before. */
function atDeadline(inMs: number, expire: () => void): () => void {
  const dueAt = performance.now() + inMs
  let timer = setTimeout(() => {
    if (performance.now() - dueAt < HELD_MS) expire()
    else timer = setTimeout(expire, HEARING_MS)
  }, inMs)
  return () => clearTimeout(timer)
}

async function callHandler(environment: JobEnvironment, running: RunningJob, signal: AbortSignal): Promise<void> {
  try {
    const { work } = running.job
    const handler = environment.handlers.get(work.handler)
    if (handler === undefined) throw new Error(`there is no handler ${work.handler}`)
    const { provider, fields } = readJob(environment.providers, running.job)
    const [first, ...others] = environment.deferredChecks?.(handler.definition, provider, fields) ?? []
    if (first !== undefined) {
      const error = `the event is not as its schema says: ${first}`
      const judgement = judgementId(handler.definition, provider, fields)
      running.decide({ outcome: 'rejected', error, quarantine: [first, ...others], judgement })
      return
    }
    await handler.run(eventOf(running.job, fields), contextOf(running, signal))
    // A rejection that the handler left floating is reported once its microtasks are done: before success, not after.
    await new Promise(setImmediate)
    running.decide({ outcome: 'succeeded' })
  } catch (error) {
    running.decide(failureOf(error))
  }
}

export function failureOf(thrown: unknown): Verdict {
  const detail = detailOf(thrown)
  return { outcome: 'failed', error: lineOf(detail), detail }
}

function readJob(providers: ReadonlyMap<string, Provider>, { work, body }: Job) {
  const { event } = work
  const provider = providers.get(event.provider)
  if (provider === undefined) throw new Error(`no source has provider ${event.provider} any more`)
  const reading = readStored(provider, event, body)
  if (!reading.ok) throw new Error(`the event is not readable: ${reading.reasons.join('; ')}`)
  return { provider, fields: { ...reading.fields, id: event.id } }
}

function eventOf({ work: { event }, body }: Job, fields: EventFields): WebhookEvent {
  return {
    ...fields,
    data: fields.data as Record<string, unknown>,
    uid: event.uid,
    source: event.source,
    provider: event.provider,
    origin: event.origin,
    received_at: toIso(event.receivedAtMs),
    raw: () => body,
  }
}

function contextOf(running: RunningJob, signal: AbortSignal): HandlerContext {
  return {
    attempt: running.job.work.attempt,
    signal,
    get log() {
      return running.log()
    },
    fail: (reason) => {
      const error = wordsOf(reason)
      running.decide({ outcome: 'rejected', error, ...(typeof reason !== 'string' && { detail: detailOf(reason) }) })
      throw new Ended(error)
    },
    retryAfter: (ms: unknown) => {
      const isTime = typeof ms === 'number' && ms > 0 && ms <= MAX_AFTER_MS
      const error = isTime ? `the handler asked to be run again after ${Math.ceil(ms)} ms` : wordsOfNoTime(ms)
      if (!isTime) running.log().warn({ asked: shown(ms) }, error)
      running.decide({ outcome: 'retry_after', error, ...(isTime && { afterMs: Math.ceil(ms) }) })
      throw new Ended(error)
    },
  }
}

const wordsOfNoTime = (ms: unknown): string =>
  `the handler asked to be run again after ${shown(ms)}, which is no time in milliseconds: it waits as after any failure`

/** It may be anything, and refuse to be shown. */
function shown(value: unknown): string {
  try {
    return (typeof value === 'string' ? JSON.stringify(value) : String(value)).slice(0, MAX_SHOWN_LENGTH)
  } catch {
    return typeof value
  }
}

const wordsOf = (reason: unknown): string =>
  typeof reason === 'string' ? reason.slice(0, MAX_ERROR_LENGTH) : lineOf(detailOf(reason))

const logOf = (log: Logger, { work }: Job): Logger =>
  log.child({
    handler: work.handler,
    uid: work.event.uid,
    source: work.event.source,
    type: work.event.type,
    attempt: work.attempt,
  })

function once<Value>(make: () => Value): () => Value {
  let made: Value | undefined
  return () => {
    made ??= make()
    return made
  }
}
