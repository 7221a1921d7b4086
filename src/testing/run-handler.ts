import type { TSchema } from '@sinclair/typebox'
import type { Job } from '../dispatch/ipc/messages.ts'
import { type JobEnvironment, runJob } from '../dispatch/process/run-job.ts'
import { keptAnswer, type ServiceAnswer } from '../domain/answer.ts'
import type { HandlerResult } from '../domain/delivery.ts'
import type { ErrorDetail } from '../domain/errors.ts'
import type { NewEvent, Origin, WebhookEvent } from '../domain/event.ts'
import type { HandlerDefinition } from '../domain/handler.ts'
import { unknownText } from '../domain/handler-policy.ts'
import { MAX_RETRY_ATTEMPTS, MAX_TIMER_MS } from '../domain/limits.ts'
import { nearestName } from '../domain/nearest-name.ts'
import type { Provider } from '../domain/provider.ts'
import { type RetryPolicy, settlementOf } from '../domain/retry-or-dead.ts'
import type { RegisteredHandler } from '../domain/router.ts'
import { secretHeaders } from '../signatures/registry.ts'
import { handlersOf, MODULE, type Runnable, WRONG } from './handlers-of.ts'
import { collectLog, type LogLine } from './log-lines.ts'
import { READ_FIELDS, type TestEvent, withFields } from './test-event.ts'

/** Loaded at the first run: a test that only imports does not wait for it. */
const loadService = async () => ({
  ...(await import('../pipeline/event-writer.ts')),
  ...(await import('../pipeline/read-poll-answer.ts')),
  ...(await import('../pipeline/routes.ts')),
})

/** The service's own default settings. */
const TIMEOUT_MS = 30_000
const RETRY = { maxAttempts: 12, baseMs: 1_000, capMs: 3_600_000 }

const EVENT_FIELDS = [...READ_FIELDS, 'uid', 'origin', 'received_at'] as const

export interface RunOptions {
  /** Which handler of a module runs, by its name; needed if several of them want the event. */
  readonly handler?: string
  /** The schema with which a handler is registered. A module has its own. */
  readonly schema?: TSchema
  /** The number of this attempt. Default: 1. */
  readonly attempt?: number
  /** An attempt with this number is the last. Default: the handler's `retry.maxAttempts`, or 12. */
  readonly maxAttempts?: number
  /** When `context.signal` aborts and the attempt has failed. Default: the handler's `timeoutMs`, or 30,000. */
  readonly timeoutMs?: number
  /** The name of the source. Default: that of the event, which for a sample is the name of its provider. */
  readonly source?: string
  /** Headers of the request, beside its own or in place of them. */
  readonly headers?: Readonly<Record<string, string>>
  /** Fields of the event in place of those that its provider's module reads. */
  readonly event?: Partial<Pick<WebhookEvent<string, unknown>, (typeof EVENT_FIELDS)[number]>>
}

export interface HandlerRun {
  /**
   * What follows from the attempt:
   * - `succeeded`: the handler returned;
   * - `failed`: it threw, or passed its deadline, and is retried by the usual backoff;
   * - `retry`: it called `retryAfter`;
   * - `dead`: it called `fail`; or the event does not match its schema, and the handler did not run; or the last attempt did not succeed.
   */
  readonly outcome: 'succeeded' | 'failed' | 'retry' | 'dead'
  /** Why the attempt did not succeed, as `holdfast events show` shows it. */
  readonly error?: string
  /** What was thrown: name, message, stack, causes. */
  readonly errorDetail?: ErrorDetail
  /** What the service answered to which the handler forwarded the event, as `holdfast events show` shows it. */
  readonly answer?: ServiceAnswer
  /** With `retry`: the shortest wait before the next attempt. */
  readonly retryAfterMs?: number
  /** What the handler logged by `context.log`, of every level. */
  readonly logs: readonly LogLine[]
}

/** Runs the one handler that wants the event, once, in this process, by the code that runs it in the service. */
export async function runAttempt(runnable: Runnable, given: TestEvent, options: RunOptions): Promise<HandlerRun> {
  checkOptions(options)
  const { readStored, routeReading, compileRoutes, ...service } = await loadService()
  const { event: overrides = {}, source: name = given.source } = options
  const provider = withFields(given.provider, overrides)
  const headers = { ...given.headers, ...lowerCased(options.headers ?? {}) }
  const receivedAtMs = Date.parse(overrides.received_at ?? given.received_at)
  const { origin, body } = given
  const { uid, ...known } = given.recorded ?? { id: '', type: '' }
  const reading = readStored(provider, { ...known, origin, headers, receivedAtMs }, body)
  if (!reading.ok) return notRun(`the event is not readable: ${reading.reasons.join('; ')}`)

  const { type } = reading.fields
  const handlers = await handlersOf(runnable, type, options.schema)
  const definitions = handlers.map(({ definition }) => definition)
  const source = sourceOf(name, provider)
  const routing = routeReading(compileRoutes(definitions), source, reading, origin)
  if (routing.status === 'quarantined')
    return notRun(`the event does not match its schema: ${routing.reasons.join('; ')}`)
  const handler = chosen(handlers, routing.handlers, options.handler, `an event ${type} of source ${name}`)

  const event = service.newEvent({ source, headers, body, receivedAtMs, origin }, reading, routing)
  const { lines, log } = await collectLog()
  const environment: JobEnvironment = {
    handlers: new Map([[handler.definition.name, showing(handler, overrides.origin)]]),
    providers: new Map([[provider.name, provider]]),
    log,
    ...(routing.unjudged !== undefined && { deferredChecks: service.compileDeferredChecks(definitions) }),
  }
  const identity = { uid: overrides.uid ?? uid ?? event.uid, id: overrides.id ?? (known.id || event.id) }
  const job = jobOf(handler.definition, { ...event, ...identity }, options)
  const result = await runJob(environment, job).result
  if (result.detail?.message === WRONG) throw new TypeError(WRONG)
  return { ...runOf(result, job, { ...RETRY, ...handler.definition.retry, ...onlyGiven(options) }), logs: lines }
}

const notRun = (error: string): HandlerRun => ({ outcome: 'dead', error, logs: [] })

const sourceOf = (name: string, provider: Provider) =>
  ({
    name,
    provider,
    types: ['*'],
    accepts: () => true,
    dedupe: 'id',
    keys: [],
    secretHeaders: secretHeaders(provider.verify),
  }) as const

/** The handler to run. `wanting`: the names of those that want the event. */
function chosen(
  handlers: readonly RegisteredHandler[],
  wanting: readonly string[],
  name: string | undefined,
  event: string,
): RegisteredHandler {
  const all = handlers.map(({ definition }) => definition.name)
  const named = handlers.filter(({ definition }) => name === undefined || isNamed(definition, name))
  if (named.length === 0) throw new TypeError(`the module has no handler ${name}, only ${all.join(', ')}`)
  const [handler, ...others] = named.filter(({ definition }) => wanting.includes(definition.name))
  if (handler === undefined) throw new TypeError(`no handler wants ${event}: ${name ?? all.join(', ')}`)
  if (others.length === 0) return handler
  throw new TypeError(`several handlers want ${event}: say which one runs, { handler: '…' }, of ${wanting.join(', ')}`)
}

/** A handler without a name of its own is `module:type` in the service. Here its file is not known, so that the type is enough. */
const isNamed = ({ name, types }: HandlerDefinition, wanted: string): boolean =>
  name === wanted || (name === `${MODULE}:${types.join(',')}` && wanted.replace(/^[^:]*:/, '') === types.join(','))

/** The handler, for which the event has another origin. */
const showing = ({ definition, run }: RegisteredHandler, origin: Origin | undefined): RegisteredHandler => ({
  definition,
  run: origin === undefined ? run : (event, context) => run({ ...event, origin }, context),
})

function jobOf(definition: HandlerDefinition, event: NewEvent, { attempt = 1, timeoutMs }: RunOptions): Job {
  return {
    key: 0,
    // In a handler process, headers are an object like any other.
    work: {
      handler: definition.name,
      attempt,
      dueAtMs: event.receivedAtMs,
      isolated: false,
      event: { ...event, headers: { ...event.headers } },
    },
    body: Buffer.from(event.body.buffer, event.body.byteOffset, event.body.byteLength),
    bodyBytes: event.body.length,
    deadlineAtMs: Date.now() + (timeoutMs ?? definition.timeoutMs ?? TIMEOUT_MS),
  }
}

const onlyGiven = ({ maxAttempts }: RunOptions) => (maxAttempts === undefined ? {} : { maxAttempts })

/** What the service would make of the result. */
function runOf(result: HandlerResult, { work, body }: Job, retry: RetryPolicy): Omit<HandlerRun, 'logs'> {
  const rules = { retry, nowMs: 0, random: () => 0, stopping: false }
  const { verdict, outcome, dueAtMs, error, detail, answer } = settlementOf(
    { ...work, body, deliveryId: 0, lease: '' },
    result,
    rules,
  )
  const isAsked = outcome === 'retry_after' && result.afterMs !== undefined
  const why = {
    ...(error !== undefined && { error }),
    ...(detail !== undefined && { errorDetail: detail }),
    ...(answer !== undefined && { answer: keptAnswer(answer, String) }),
  }
  if (verdict === 'succeeded' || verdict === 'dead') return { outcome: verdict, ...why }
  return isAsked ? { outcome: 'retry', ...why, retryAfterMs: dueAtMs } : { outcome: 'failed', ...why }
}

const lowerCased = (headers: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]))

const COUNTS = { attempt: MAX_RETRY_ATTEMPTS, maxAttempts: MAX_RETRY_ATTEMPTS, timeoutMs: MAX_TIMER_MS }
const OPTIONS = [...Object.keys(COUNTS), 'handler', 'schema', 'source', 'headers', 'event']

function checkOptions(options: RunOptions): void {
  const faults = [...unknownIn('', options, OPTIONS), ...unknownIn('event.', options.event ?? {}, EVENT_FIELDS)]
  for (const [name, max] of Object.entries(COUNTS)) {
    const value = options[name as keyof typeof COUNTS]
    if (value !== undefined && !(Number.isInteger(value) && value >= 1 && value <= max))
      faults.push(`${name} is not a whole number from 1 to ${max}`)
  }
  const { received_at } = options.event ?? {}
  if (received_at !== undefined && Number.isNaN(Date.parse(received_at))) faults.push('event.received_at is not a time')
  if (faults.length > 0) throw new TypeError(`runHandler: ${faults.join('; ')}`)
}

const unknownIn = (prefix: string, options: object, known: readonly string[]): string[] =>
  Object.keys(options)
    .filter((name) => !known.includes(name))
    .map((name) => unknownText(`${prefix}${name}`, nearestName(name, known)))
