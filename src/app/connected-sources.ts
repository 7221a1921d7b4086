import type { Config } from '../domain/config.ts'
import type { Headers } from '../domain/event.ts'
import type { CallProvider } from '../domain/outbound.ts'
import type { ConnectedSource } from '../domain/source.ts'
import { VERSION } from '../domain/version.ts'
import { redactor } from '../log/redact.ts'
import { answerMemory, type CallerOptions, createCaller } from '../outbound/caller.ts'
import type { BuiltSources } from './sources.ts'

export interface ConnectedSources {
  readonly sources: readonly ConnectedSource[]
  /** Ends all open calls. */
  readonly close: () => Promise<void>
}

/** Gives each source the caller of its provider's API. The result holds keys and secrets: lists and logs must not use it. */
export function connectSources(
  config: Config,
  { sources, apiHeaders }: Pick<BuiltSources, 'sources' | 'apiHeaders'>,
  onAnswer: (headers: Headers) => void,
  timeouts?: CallerOptions['timeouts'],
): ConnectedSources {
  const closing: (() => Promise<void>)[] = []
  const maxAnswerBytes = config.answerLimitBytes
  const memory = answerMemory(maxAnswerBytes)
  const connected = config.sources.flatMap(({ name, variable, secrets, apiKey, apiUrl }): ConnectedSource[] => {
    const source = sources.get(name)
    if (source === undefined) return []
    const { api } = source.provider
    const baseUrl = apiUrl ?? api?.url
    const isConfigured = apiKey !== undefined || apiUrl !== undefined
    const caller =
      api === undefined || baseUrl === undefined || !isConfigured
        ? undefined
        : createCaller({
            baseUrl,
            baseIsConfigured: apiUrl !== undefined,
            headers: apiHeaders.get(name) ?? {},
            version: VERSION,
            maxAnswerBytes,
            memory,
            ...(timeouts !== undefined && { timeouts }),
          })
    if (caller !== undefined) closing.push(() => caller.close())
    const redact = redactor([apiKey, ...secrets])
    return [
      {
        ...source,
        call: caller && reportingAnswers(caller.call, onAnswer),
        secret: secrets[0] ?? '',
        variable,
        redact,
      },
    ]
  })
  return { sources: connected, close: async () => void (await Promise.all(closing.map((close) => close()))) }
}

/** The same call, which also passes the headers of each answer to `onAnswer`. */
const reportingAnswers =
  (call: CallProvider, onAnswer: (headers: Headers) => void): CallProvider =>
  async (...request) => {
    const result = await call(...request)
    if (result.ok) onAnswer(result.headers)
    return result
  }
