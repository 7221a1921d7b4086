import { readdirSync, writeFileSync } from 'node:fs'
import { Socket } from 'node:net'
import { setPriority } from 'node:os'
import type { Logger } from 'pino'
import { hasOwnSchemas } from '../../domain/catalogue.ts'
import type { HandlerResult } from '../../domain/delivery.ts'
import { messageOf } from '../../domain/errors.ts'
import type { HandlerDefinition } from '../../domain/handler.ts'
import type { Provider } from '../../domain/provider.ts'
import type { RegisteredHandler } from '../../domain/router.ts'
import { captureConsole } from '../../log/captured-console.ts'
import { createSecretFilter } from '../../log/redact.ts'
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
import { detailOf, lineOf } from './error-detail.ts'
import { loadHandlers } from './load-handlers.ts'
import { createLogLines, type LogLines } from './log-lines.ts'
import { currentJob, failureOf, type JobEnvironment, type RunningJob, runJob } from './run-job.ts'

/**
 * A handler process: loads the handler modules, then runs the attempts that it is sent. User code lives here and nowhere else.
 * It ends when what it is sent does, which is when the service ends.
 */

/** Where memory is short, the system ends handlers before the service. */
const OOM_SCORE = '800'
/** Jobs are started one after the other for so long before the loop goes round. */
const SLICE_MS = 5

// As they were before user code could change them.
const { setImmediate } = globalThis
const exit = process.exit.bind(process)

const jobs = new Socket({ fd: JOBS_FD, readable: true, writable: false })
const answers = new Socket({ fd: ANSWERS_FD, readable: false, writable: true })
const reader = new FrameDecoder((message, tail) => hear(message as ToProcess, tail))
jobs.on('data', (chunk: Buffer) => reader.push(chunk))
for (const event of ['end', 'close', 'error']) jobs.on(event, () => exit(0))
answers.on('error', () => exit(0))

const handlers = new Map<string, RegisteredHandler>()
const providers = new Map<string, Provider>()
const running = new Set<RunningJob>()
/** Handlers whose attempt is decided but which have not returned. */
let overdue = 0
let isReporting = false
let results: { key: number; result: HandlerResult }[] = []
let refused: number[] = []
let lines: LogLines | undefined
let environment: JobEnvironment | undefined
/** Jobs that have come and are not started. */
const waiting: Job[] = []
let isSliceOver = false
let sliceEndsAt = 0

process.on('unhandledRejection', blame)
process.on('uncaughtException', blame)

function hear(message: ToProcess, tail: Buffer): void {
  if (message.kind === 'jobs') accept(message.jobs, tail)
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
  if (!isUrgent) stepBack()
  const { log } = openLog(data)
  for (const [name, url] of Object.entries(data.providerModules)) {
    const module: { default: Provider } = await import(url)
    providers.set(name, module.default)
  }
  const loaded = await loadHandlers(
    data.handlersDir,
    (file) => send({ kind: 'loading', file }),
    (fault) => log.error(fault),
  )
  for (const handler of loaded.handlers) handlers.set(handler.definition.name, handler)
  const definitions = loaded.handlers.map(({ definition }) => definition)
  const checked = await deferredChecksOf(definitions)
  environment = { handlers, providers, log, ...(typeof checked === 'function' && { deferredChecks: checked }) }
  stepBack()
  const faults = typeof checked === 'string' ? [...loaded.faults, checked] : loaded.faults
  if (faults.length > 0) send({ kind: 'unloadable', faults })
  else send({ kind: 'ready', handlers: definitions })
}

/** What checks events by users' schemas, or what is wrong with one. Loaded only where there are any: it takes some MiB. */
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

function openLog({ logLevel, secrets }: ProcessData): LogLines {
  lines = createLogLines({
    level: logLevel,
    fd: LOG_FD,
    withoutSecrets: createSecretFilter(secrets).line,
    onDropped: (count) => send({ kind: 'dropped', lines: count }),
  })
  const { log, mayLog } = lines
  captureConsole((lineLevel, line) => {
    if (mayLog()) (currentJob.getStore()?.log() ?? log)[lineLevel](line)
  })
  return lines
}

/** Below acknowledgements, with every thread that there is by now; those to come take after them. */
function stepBack(): void {
  if (process.platform !== 'linux') return
  try {
    for (const thread of readdirSync('/proc/self/task')) setPriority(Number(thread), HANDLER_NICENESS)
    writeFileSync('/proc/self/oom_score_adj', OOM_SCORE)
  } catch {
    // Where the system does not allow it, it goes without.
  }
}

/**
 * Each is started by itself, with all that it sets going at once, before the next: what blocks the process is then what was
 * started last.
 */
function accept(sent: readonly SentJob[], bodies: Buffer): void {
  let offset = 0
  for (const job of sent) {
    waiting.push({ ...job, body: bodies.subarray(offset, offset + job.bodyBytes) })
    offset += job.bodyBytes
    setImmediate(startNext)
  }
  sliceEndsAt = performance.now() + SLICE_MS
}

/** Between slices what has ended is reported, and the service is answered. */
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
  const attempt = runJob(environment as JobEnvironment, job)
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

/** The reader of the log may be slow: the service ends a process that does not end soon. */
function stop(): void {
  lines?.flush()
  exit(0)
}

/** One message for all that ends in one turn of the loop; at once where nothing else is running. */
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

/** An error that was not caught costs the attempt it came from; one that comes from no attempt ends the process. */
function blame(error: unknown): void {
  const guilty = currentJob.getStore()
  if (guilty === undefined) throw error
  if (guilty.decided) tellLate(guilty.log(), error)
  guilty.decide(failureOf(error))
  guilty.abort(new DOMException('the handler threw where nobody listened', 'AbortError'))
}

function tellLate(log: Logger, error: unknown): void {
  const detail = detailOf(error)
  log.error({ error: lineOf(detail), detail }, 'a handler threw after its attempt had ended')
}
