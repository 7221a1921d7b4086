import { readdirSync, writeFileSync } from 'node:fs'
import { Socket } from 'node:net'
import { setPriority } from 'node:os'
import type { Logger } from 'pino'
import type { HandlerResult } from '../../domain/delivery.ts'
import { messageOf } from '../../domain/errors.ts'
import { hasOwnSchemas } from '../../domain/event-catalogue.ts'
import type { HandlerDefinition } from '../../domain/handler.ts'
import type { Provider } from '../../domain/provider.ts'
import type { RegisteredHandler } from '../../domain/router.ts'
import { captureConsole } from '../../log/captured-console.ts'
import { type LineFormat, lineFormat } from '../../log/pretty.ts'
import { createSecretFilter } from '../../log/redact.ts'
import { registerModuleHooks } from '../../modules/module-hooks.ts'
import type { DeferredChecks } from '../../pipeline/routes.ts'
import { encodeFrame, FrameDecoder } from '../ipc/framing.ts'
import { mayStart } from '../ipc/job-progress.ts'
import {
  ANSWERS_FD,
  type FromProcess,
  HANDLER_NICENESS,
  JOBS_FD,
  type Job,
  LOG_FD,
  PROGRESS_FD,
  type ProcessData,
  type SentJob,
  type ToProcess,
} from '../ipc/messages.ts'
import { type BoundedLog, createBoundedLog } from './bounded-log.ts'
import { detailOf, lineOf } from './error-detail.ts'
import { loadHandlers } from './load-handlers.ts'
import { currentJob, failureOf, type JobEnvironment, type RunningJob, runJob } from './run-job.ts'

/**
 * A handler process: loads the handler modules, then runs the jobs that the service sends. Handlers run only here. The process
 * exits when its connection to the service ends, which happens at the latest when the service ends.
 */

/** When memory is short, the system kills handler processes before the service. */
const OOM_SCORE = '800'
/** How long the process starts jobs one after the other before it reports results and answers the service. */
const SLICE_MS = 5

// Bound here, before user code can replace them.
const { setImmediate } = globalThis
const exit = process.exit.bind(process)

const jobs = new Socket({ fd: JOBS_FD, readable: true, writable: false })
const answers = new Socket({ fd: ANSWERS_FD, readable: false, writable: true })
const decoder = new FrameDecoder((message, tail) => receive(message as ToProcess, tail))
jobs.on('data', (chunk: Buffer) => decoder.push(chunk))
for (const event of ['end', 'close', 'error']) jobs.on(event, () => exit(0))
answers.on('error', () => exit(0))

const handlers = new Map<string, RegisteredHandler>()
const providers = new Map<string, Provider>()
const running = new Set<RunningJob>()
/** Handlers that have not returned although their attempts are decided. */
let overdue = 0
let isReporting = false
let results: { key: number; result: HandlerResult }[] = []
let refused: number[] = []
let boundedLog: BoundedLog | undefined
let jobEnvironment: JobEnvironment | undefined
/** Jobs that have arrived and have not started. */
const waiting: Job[] = []
let isSliceOver = false
let sliceEndsAt = 0
/** Takes an error that no attempt threw, while a module loads. */
let onLoadingError: ((error: unknown) => void) | undefined

process.on('unhandledRejection', chargeToJob)
process.on('uncaughtException', chargeToJob)

function receive(message: ToProcess, tail: Buffer): void {
  if (message.kind === 'jobs') acceptJobs(message.jobs, tail)
  else if (message.kind === 'ping') send({ kind: 'pong' })
  else if (message.kind === 'abort') abortAll()
  else if (message.kind === 'stop') stop()
  else void load(message, message.isUrgent)
}

function send(message: FromProcess): void {
  answers.cork()
  for (const part of encodeFrame(message)) answers.write(part)
  answers.uncork()
}

async function load(data: ProcessData, isUrgent: boolean): Promise<void> {
  if (!isUrgent) lowerPriority()
  const { log } = openLog(data, await lineFormat(data.logStyle))
  registerModuleHooks()
  for (const [name, url] of Object.entries(data.providerModules)) {
    const module: { default: Provider } = await import(url)
    providers.set(name, module.default)
  }
  const loaded = await loadHandlers(
    data.handlersDir,
    (file) => send({ kind: 'loading', file }),
    (fault) => log.error(fault),
    (take) => {
      onLoadingError = take
    },
  )
  for (const handler of loaded.handlers) handlers.set(handler.definition.name, handler)
  const definitions = loaded.handlers.map(({ definition }) => definition)
  const checksOrFault = await deferredChecksOf(definitions)
  jobEnvironment = {
    handlers,
    providers,
    log,
    ...(typeof checksOrFault === 'function' && { deferredChecks: checksOrFault }),
  }
  lowerPriority()
  const faults = typeof checksOrFault === 'string' ? [...loaded.faults, checksOrFault] : loaded.faults
  if (faults.length > 0) send({ kind: 'unloadable', faults })
  else send({ kind: 'ready', handlers: definitions })
}

/**
 * The check of events by users' schemas, or the fault of an invalid schema; undefined if no user has given a schema. The check
 * takes some MiB of memory, so its code is loaded only if it is needed.
 */
async function deferredChecksOf(
  definitions: readonly HandlerDefinition[],
): Promise<DeferredChecks | string | undefined> {
  if (definitions.every(({ schema }) => schema === undefined) && ![...providers.values()].some(hasOwnSchemas))
    return undefined
  try {
    const { compileDeferredChecks } = await import('../../pipeline/routes.ts')
    return compileDeferredChecks(definitions)
  } catch (error) {
    return messageOf(error)
  }
}

function openLog({ logLevel, secrets }: ProcessData, format: LineFormat | undefined): BoundedLog {
  boundedLog = createBoundedLog({
    level: logLevel,
    fd: LOG_FD,
    format,
    withoutSecrets: createSecretFilter(secrets).line,
    onDropped: (count) => send({ kind: 'dropped', lines: count }),
  })
  const { log, mayLog } = boundedLog
  captureConsole((lineLevel, line) => {
    if (mayLog()) (currentJob.getStore()?.log() ?? log)[lineLevel](line)
  })
  return boundedLog
}

/** Lowers the priority of all threads below that of acknowledgements. Threads that start later inherit it. */
function lowerPriority(): void {
  if (process.platform !== 'linux') return
  try {
    for (const thread of readdirSync('/proc/self/task')) setPriority(Number(thread), HANDLER_NICENESS)
    writeFileSync('/proc/self/oom_score_adj', OOM_SCORE)
  } catch {
    // The system does not allow it: the process keeps its priority.
  }
}

/**
 * Each job starts in its own turn of the event loop, and its synchronous code runs in that turn. So if a job blocks the process
 * as it starts, it is the job that started last.
 */
function acceptJobs(sent: readonly SentJob[], bodies: Buffer): void {
  let offset = 0
  for (const job of sent) {
    waiting.push({ ...job, body: bodies.subarray(offset, offset + job.bodyBytes) })
    offset += job.bodyBytes
    setImmediate(startNext)
  }
  sliceEndsAt = performance.now() + SLICE_MS
}

/** Starts the next job. Between two slices the process reports results and answers the service. */
function startNext(): void {
  if (isSliceOver) {
    setImmediate(startNext)
    return
  }
  const job = waiting.shift()
  if (job === undefined) return
  if (mayStart(PROGRESS_FD, job.key)) start(job)
  else {
    refused.push(job.key)
    report()
  }
  if (performance.now() > sliceEndsAt && waiting.length > 0) endSlice()
}

function endSlice(): void {
  isSliceOver = true
  setImmediate(() => {
    isSliceOver = false
    sliceEndsAt = performance.now() + SLICE_MS
  })
}

function start(job: Job): void {
  const attempt = runJob(jobEnvironment as JobEnvironment, job)
  running.add(attempt.running)
  let returned = false
  let reported = false
  void attempt.result.then((result) => {
    reported = true
    if (!returned) overdue++
    report({ key: job.key, result })
  })
  void attempt.returned.then(() => {
    returned = true
    running.delete(attempt.running)
    if (!reported) return
    overdue--
    report()
  })
}

function abortAll(): void {
  for (const { abort } of running) abort(new DOMException('the service is stopping', 'AbortError'))
}

/** Writes out the log and exits. If the reader of the log is so slow that this takes long, the service kills the process. */
function stop(): void {
  boundedLog?.flush()
  exit(0)
}

/** Sends all results of one turn of the event loop in one message; at once if no other job runs or waits. */
function report(result?: { key: number; result: HandlerResult }): void {
  if (result !== undefined) results.push(result)
  if (isReporting) return
  isReporting = true
  if (running.size === 0 && waiting.length === 0) sendResults()
  else setImmediate(sendResults)
}

function sendResults(): void {
  isReporting = false
  send({ kind: 'results', results, refused, overdue })
  results = []
  refused = []
}

/** An uncaught error fails the attempt whose code threw it, or the module that loads. Any other error ends the process. */
function chargeToJob(error: unknown): void {
  const job = currentJob.getStore()
  if (job === undefined) {
    if (onLoadingError === undefined) throw error
    onLoadingError(error)
    return
  }
  if (job.decided) logLate(job.log(), error)
  job.decide(failureOf(error))
  job.abort(new DOMException('the handler threw outside the promise that it returned', 'AbortError'))
}

function logLate(log: Logger, error: unknown): void {
  const detail = detailOf(error)
  log.error({ error: lineOf(detail), detail }, 'a handler threw after its attempt had ended')
}
