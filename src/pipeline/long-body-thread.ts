import { parentPort, workerData } from 'node:worker_threads'
import { messageOf } from '../domain/errors.ts'
import type { Provider } from '../domain/provider.ts'
import { type Answered, type Numbered, READY } from '../threads/supervised-thread.ts'
import { postLines } from '../threads/thread-lines.ts'
import { type ApiReading, type BodyReader, createInlineReader, type RoutedEvent } from './body-reader.ts'
import type { FromLongThread, LongThreadData, ReadingResult, ToLongThread } from './long-body-reader.ts'
import { hasMoreValues, MAX_RESULT_VALUES } from './module-results.ts'
import { compileRoutes } from './routes.ts'
import { compilePatterns } from './type-routes.ts'

/**
 * Reads long bodies, one at a time. Parsing a megabyte may take a tenth of a second or more, which is too long in the thread that
 * acknowledges webhooks.
 */

postLines()
const { providerModules } = workerData as LongThreadData
const providers = new Map<string, Provider>()
let reader: BodyReader = createInlineReader(compileRoutes([]))

/** The most names of a payload that the result has. */
const MAX_NAMES = 32

/** Imports a provider's module only when a body of that provider comes, so that it runs in no thread that reads for other providers. */
async function providerOf(name: string): Promise<Provider | undefined> {
  const known = providers.get(name)
  const url = providerModules[name]
  if (known !== undefined || url === undefined) return known
  const module: { default?: Provider } = await import(url).catch(() => ({}))
  if (module.default !== undefined) providers.set(name, module.default)
  return module.default
}

async function answerTo({ provider: name, question, body: bytes }: ToLongThread): Promise<ReadingResult> {
  if ('handlers' in question && question.handlers !== undefined)
    reader = createInlineReader(compileRoutes(question.handlers))
  const provider = await providerOf(name)
  if (provider === undefined) throw new Error(`its provider ${name} could not be loaded`)
  const body = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (question.kind === 'taskId') return reader.taskId(provider, body)
  if (question.kind === 'fingerprint') return reader.fingerprint(provider, question.beside, body)
  if (question.kind === 'apiWithBody')
    return bounded(await reader.apiWithBody(provider, question.name, body, question.args))
  const { types } = question.source
  const source = { name: question.source.name, types, accepts: compilePatterns(types), provider }
  if (question.kind === 'event') return brief(await reader.event(source, question.context, body))
  const answer = await reader.pollAnswer(source, question.polled, body)
  return answer.kind === 'ended' ? brief(answer) : answer
}

const bounded = (result: ApiReading): ApiReading =>
  result.kind === 'read' && hasMoreValues(result.value, MAX_RESULT_VALUES) ? { kind: 'nothing' } : result

/** Leaves out what the service does not need to store the event. */
function brief<Routed extends RoutedEvent>(routed: Routed): Routed {
  const { reading } = routed
  if (!reading.ok) return routed
  const { payload } = reading
  const names = typeof payload === 'object' && payload !== null ? namesIn(payload) : []
  const fields = { ...reading.fields, data: undefined }
  return { ...routed, reading: { ...reading, fields, payload: Object.fromEntries(names.map((name) => [name, null])) } }
}

function namesIn(payload: object): readonly string[] {
  const names: string[] = []
  for (const name in payload) {
    if (names.length === MAX_NAMES) break
    names.push(name)
  }
  return names
}

const say = (message: Answered<FromLongThread>): void => parentPort?.postMessage(message)

parentPort?.on('message', ({ number, message }: Numbered<ToLongThread>) => {
  answerTo(message).then(
    (value) => say({ number, answer: { value } }),
    (error: unknown) => say({ number, answer: { failed: messageOf(error) } }),
  )
})
parentPort?.postMessage(READY)
