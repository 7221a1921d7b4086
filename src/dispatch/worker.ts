import { setPriority } from 'node:os'
import { workerData } from 'node:worker_threads'
import type { Provider } from '../domain/provider.ts'
import type { RegisteredHandler } from '../domain/router.ts'
import { createLog } from '../log.ts'
import { loadHandlers } from './load-handlers.ts'
import type { FromThread, Job, JobResult, ThreadStart, ToThread } from './protocol.ts'
import { currentJob, describe, type JobEnvironment, type RunningJob, runJob } from './run-job.ts'

/** A handler thread: loads the handler modules, then runs the attempts that it is sent. User code lives here and nowhere else. */

const { port, ...data } = workerData as ThreadStart
Reflect.deleteProperty(workerData, 'port')
const send = (message: FromThread): void => port.postMessage(message)

const { log, flush } = createLog(data.logLevel)
const handlers = new Map<string, RegisteredHandler>()
const providers = new Map<string, Provider>()
const environment: JobEnvironment = { handlers, providers, log }

const running = new Set<RunningJob>()
/** Handlers whose attempt is decided but which have not returned. */
let overdue = 0
let reporting = false
let results: { key: number; result: JobResult }[] = []

/** On Linux priorities are a thread's own: acknowledgements go before handlers when the processor is short. */
const HANDLER_NICENESS = 10
const stepBack = (): void => {
  if (process.platform === 'linux') setPriority(0, HANDLER_NICENESS)
}
if (!data.isHurried) stepBack()

process.on('unhandledRejection', blame)
process.on('uncaughtException', blame)

await load()
stepBack()
port.on('message', (message: ToThread) => {
  if (message.kind === 'jobs') for (const job of message.jobs) start(job)
  else if (message.kind === 'abort') abortAll()
  else stop()
})

async function load(): Promise<void> {
  for (const [name, url] of Object.entries(data.providerModules)) {
    const module: { default: Provider } = await import(url)
    providers.set(name, module.default)
  }
  const loaded = await loadHandlers(
    data.handlersDir,
    (file) => send({ kind: 'loading', file }),
    (fault) => log.error(fault),
  )
  for (const handler of loaded.handlers) handlers.set(handler.registration.name, handler)
  if (loaded.faults.length > 0) send({ kind: 'unloadable', faults: loaded.faults })
  else send({ kind: 'ready', registrations: loaded.handlers.map(({ registration }) => registration) })
}

function start(job: Job): void {
  const attempt = runJob(environment, job)
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

function stop(): void {
  flush()
  send({ kind: 'stopped' })
}

/** One message for all that ends in one turn of the loop. */
function report(result?: { key: number; result: JobResult }): void {
  if (result !== undefined) results.push(result)
  if (reporting) return
  reporting = true
  setImmediate(() => {
    reporting = false
    send({ kind: 'results', results, overdue })
    results = []
  })
}

/** An error that nobody awaited costs the attempt it came from; one that comes from no attempt ends the thread. */
function blame(error: unknown): void {
  const guilty = currentJob.getStore()
  if (guilty === undefined) throw error
  const { handler, event } = guilty.job.work
  if (guilty.decided)
    log.error({ handler, uid: event.uid, error: describe(error) }, 'a handler threw after its attempt had ended')
  guilty.decide({ outcome: 'failed', error: describe(error) })
  guilty.abort(new DOMException('the handler threw where nobody listened', 'AbortError'))
}
