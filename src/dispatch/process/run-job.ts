import { AsyncLocalStorage } from 'node:async_hooks'
import type { Logger } from 'pino'
import { answerLine, type ServiceAnswer, TAKE_ANSWER } from '../../domain/answer.ts'
import { toIso } from '../../domain/clock.ts'
import type { HandlerResult } from '../../domain/delivery.ts'
import type { EventFields, WebhookEvent } from '../../domain/event.ts'
import type { HandlerContext } from '../../domain/handler.ts'
import { MAX_ERROR_LENGTH } from '../../domain/limits.ts'
import type { Provider } from '../../domain/provider.ts'
import type { RegisteredHandler } from '../../domain/router.ts'
import { judgementId } from '../../pipeline/judgement-id.ts'
import { readStored } from '../../pipeline/read-poll-answer.ts'
import type { DeferredChecks } from '../../pipeline/routes.ts'
import type { Job } from '../ipc/messages.ts'
import { detailOf, lineOf } from './error-detail.ts'

/** The longest valid wait: 366 days. A handler that asks for more has probably passed a point in time, not a duration. */
const MAX_AFTER_MS = 366 * 86_400_000
/** Characters of an invalid time that an error shows. */
const MAX_SHOWN_LENGTH = 64

// Bound here, before user code can replace it, or a test's fake timers do.
const { setImmediate } = globalThis

/** How an attempt ends: by its handler, by its deadline, or by an error that the handler did not catch. */
type Decision = Pick<HandlerResult, 'outcome' | 'error' | 'detail' | 'afterMs' | 'quarantine' | 'judgement'>

export interface RunningJob {
  readonly job: Job
  /** Adds the event, the handler and the attempt to each line. */
  readonly log: () => Logger
  readonly abort: (reason: Error) => void
  /** Decides how the attempt ends. Only the first decision counts, whatever the handler does afterwards. */
  readonly decide: (decision: Decision) => void
  decided: boolean
  /** What the service answered to which the handler posted its event, if it has. */
  answer?: ServiceAnswer
}

/** The job whose code runs now. An uncaught error fails its attempt. */
export const currentJob = new AsyncLocalStorage<RunningJob>()

/**
 * If the timer of a deadline fires this much too late, another attempt has blocked the process. The attempt then gets
 * `EXTRA_TIME_MS` more to finish.
 */
const BLOCKED_MS = 20
const EXTRA_TIME_MS = 200

/** Thrown by `context.fail` and `context.retryAfter`. The decision stands even if the handler catches it. */
class Ended extends Error {
  override readonly name = 'HandlerEnded'
}

export interface JobEnvironment {
  readonly handlers: ReadonlyMap<string, RegisteredHandler>
  readonly providers: ReadonlyMap<string, Provider>
  readonly log: Logger
  /** Undefined if no user has given a schema. */
  readonly deferredChecks?: DeferredChecks
}

/**
 * Runs one attempt. `result` resolves when the attempt is decided, at the deadline at the latest; `returned` resolves when the
 * handler has returned, which a handler that ignores its signal may never do.
 */
export function runJob(
  environment: JobEnvironment,
  job: Job,
): { running: RunningJob; result: Promise<HandlerResult>; returned: Promise<void> } {
  const startedAtMs = Date.now()
  const startedAt = performance.now()
  const abortable = lazyAbort()
  const { promise, resolve } = Promise.withResolvers<Decision>()
  const running: RunningJob = {
    job,
    decided: false,
    log: once(() => logOf(environment.log, job)),
    abort: abortable.abort,
    decide: (decision) => {
      running.decided = true
      resolve(decision)
    },
  }
  const stopClock = onDeadline(Math.max(0, job.deadlineAtMs - startedAtMs), () => {
    abortable.abort(new DOMException('the handler passed its deadline', 'TimeoutError'))
    running.decide({ outcome: 'timeout', error: 'the handler passed its deadline' })
  })
  const returned = currentJob.run(running, () => callHandler(environment, running, abortable.signal))
  const result = promise.then(
    (decision): HandlerResult => ({
      ...decision,
      ...(running.answer !== undefined && { answer: running.answer }),
      startedAtMs,
      durationMs: Math.round((performance.now() - startedAt) * 1000) / 1000,
    }),
  )
  void promise.then(stopClock)
  return { running, result, returned }
}

/** Makes the signal when it is first asked for, because most handlers never ask. */
function lazyAbort(): { readonly signal: () => AbortSignal; readonly abort: (reason: Error) => void } {
  let reason: Error | undefined
  let controller: AbortController | undefined
  return {
    signal: () => {
      controller ??= new AbortController()
      if (reason !== undefined) controller.abort(reason)
      return controller.signal
    },
    abort: (why) => {
      reason ??= why
      controller?.abort(reason)
    },
  }
}

/**
 * Calls `expire` at the deadline. If another attempt has blocked the process past the deadline, `expire` is called
 * `EXTRA_TIME_MS` later, so that this attempt can finish the work that it would have finished in time. Returns a function that
 * cancels the call.
 */
function onDeadline(inMs: number, expire: () => void): () => void {
  const dueAt = performance.now() + inMs
  let timer = setTimeout(() => {
    if (performance.now() - dueAt < BLOCKED_MS) expire()
    else timer = setTimeout(expire, EXTRA_TIME_MS)
  }, inMs)
  return () => clearTimeout(timer)
}

async function callHandler(environment: JobEnvironment, running: RunningJob, signal: () => AbortSignal): Promise<void> {
  try {
    const { work } = running.job
    const handler = environment.handlers.get(work.handler)
    if (handler === undefined) throw new Error(`there is no handler ${work.handler}`)
    const { provider, fields } = readJob(environment.providers, running.job)
    const [first, ...others] = environment.deferredChecks?.(handler.definition, provider, fields) ?? []
    if (first !== undefined) {
      const error = `the event does not match its schema: ${first}`
      const judgement = judgementId(handler.definition, provider, fields)
      running.decide({ outcome: 'rejected', error, quarantine: [first, ...others], judgement })
      return
    }
    await handler.run(eventOf(running.job, fields), contextOf(running, signal))
    // Node reports a rejection that the handler did not await once the microtasks are done. That report must come before the
    // success.
    await new Promise(setImmediate)
    running.decide({ outcome: 'succeeded' })
  } catch (error) {
    running.decide(failureOf(error))
  }
}

export function failureOf(thrown: unknown): Decision {
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
    headers: Object.freeze(event.headers),
    raw: () => body,
  }
}

function contextOf(running: RunningJob, signal: () => AbortSignal): HandlerContext {
  return {
    attempt: running.job.work.attempt,
    get signal() {
      return signal()
    },
    get log() {
      return running.log()
    },
    fail: (reason) => {
      const error = reasonText(reason)
      // Of a text, the place where the handler gave it.
      const detail = detailOf(typeof reason === 'string' ? new Error(error) : reason)
      running.decide({ outcome: 'rejected', error, detail })
      throw new Ended(error)
    },
    retryAfter: (ms: unknown) => {
      const isTime = typeof ms === 'number' && ms > 0 && ms <= MAX_AFTER_MS
      const asked = isTime ? `the handler asked to be run again after ${Math.ceil(ms)} ms` : invalidTimeText(ms)
      const error = `${asked}${refusalIn(running)}`
      if (!isTime) running.log().warn({ asked: shown(ms) }, asked)
      running.decide({ outcome: 'retry_after', error, ...(isTime && { afterMs: Math.ceil(ms) }) })
      throw new Ended(error)
    },
    [TAKE_ANSWER]: (answer: ServiceAnswer) => {
      running.answer = answer
    },
  } as HandlerContext
}

/** The answer that is most likely why the handler asks for another attempt. */
const refusalIn = ({ answer }: RunningJob): string =>
  answer === undefined || answer.status < FIRST_REFUSAL ? '' : `; ${answerLine(answer)}`
/** 4xx and 5xx. */
const FIRST_REFUSAL = 400

const invalidTimeText = (ms: unknown): string =>
  `the handler asked to be run again after ${shown(ms)}, which is not a time in milliseconds: the delivery waits as after any failure`

/** The value may be anything, and may throw when it is converted. */
function shown(value: unknown): string {
  try {
    return (typeof value === 'string' ? JSON.stringify(value) : String(value)).slice(0, MAX_SHOWN_LENGTH)
  } catch {
    return typeof value
  }
}

const reasonText = (reason: unknown): string =>
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
