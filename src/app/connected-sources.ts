import type { Config } from '../domain/config.ts'
import type { Headers } from '../domain/event.ts'
import type { CallProvider } from '../domain/outbound.ts'
import type { Source } from '../domain/source.ts'
import { VERSION } from '../domain/version.ts'
import { redactor } from '../log/redact.ts'
import { answerRoom, type CallerOptions, createCaller } from '../outbound/caller.ts'
import type { Built } from './sources.ts'

/** A source, and what it takes to call its provider's API. */
export interface SourceAccess extends Source {
  readonly source: Source
  /** Undefined: neither a key nor a URL of its own is configured, or the provider has no API that Holdfast knows. */
  readonly call: CallProvider | undefined
  /** The newest of its secrets. */
  readonly secret: string
  /** `SOURCE_<NAME>`, for messages. */
  readonly variable: string
  /** Takes keys and secrets out of a text. */
  readonly redact: (text: string) => string
}

export interface Access {
  readonly sources: readonly SourceAccess[]
  /** Ends the calls that are open. */
  readonly close: () => Promise<void>
}

/** Keys and secrets are held here and in what is made here; nothing that can be listed has them. */
export function openAccess(
  config: Config,
  { sources, apiHeaders }: Pick<Built, 'sources' | 'apiHeaders'>,
  onAnswer: (headers: Headers) => void,
  timeouts?: CallerOptions['timeouts'],
): Access {
  const closing: (() => Promise<void>)[] = []
  const maxAnswerBytes = config.answerLimitBytes
  const room = answerRoom(maxAnswerBytes)
  const accesses = config.sources.flatMap(({ name, variable, secrets, apiKey, apiUrl }): SourceAccess[] => {
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
            room,
            ...(timeouts !== undefined && { timeouts }),
          })
    if (caller !== undefined) closing.push(() => caller.close())
    const redact = redactor([apiKey, ...secrets])
    return [
      { ...source, source, call: caller && heard(caller.call, onAnswer), secret: secrets[0] ?? '', variable, redact },
    ]
  })
  return { sources: accesses, close: async () => void (await Promise.all(closing.map((close) => close()))) }
}

const heard =
  (call: CallProvider, onAnswer: (headers: Headers) => void): CallProvider =>
  async (...request) => {
    const result = await call(...request)
    if (result.ok) onAnswer(result.headers)
    return result
  }
