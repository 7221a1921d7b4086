import type { Logger } from 'pino'
import { HoldfastError } from '../domain/errors.ts'
import type { CallProvider } from '../domain/outbound.ts'
import type { RegistrationApi } from '../domain/provider.ts'
import type { ConnectedSource } from '../domain/source.ts'
import type { AnswerSays, BodyReader } from '../pipeline/body-reader.ts'
import type { Readers } from '../pipeline/provider-readers.ts'
import type { IsOver } from './deadline.ts'

/** A source whose provider can be asked, for the time of one operation. */
export interface Registry {
  readonly source: ConnectedSource
  readonly api: RegistrationApi
  /** Calls a function of `api`. */
  readonly make: (name: RequestName, ...args: readonly unknown[]) => Promise<unknown>
  /** Reads an answer by a function of `api`. Never rejects. */
  readonly read: (name: ReaderName, answer: Buffer, ...args: readonly unknown[]) => Promise<AnswerSays>
  readonly call: CallProvider
  /** Then no further call is made. */
  readonly isOver: IsOver
  /** Logs a change: source, id and action, nothing else. */
  readonly told: (id: string, action: 'created' | 'updated' | 'deleted') => void
}

export type RequestName = 'list' | 'create' | 'update' | 'remove' | 'eventOf'
export type ReaderName = 'readList' | 'read' | 'secret'

/** Who runs what a module has of functions. */
export interface ModuleCalls {
  readonly readers: Pick<Readers, 'api'>
  readonly reader: Pick<BodyReader, 'answered'>
}

/** Throws `not_configured`, naming what is missing. */
export function registryOf(
  source: ConnectedSource,
  { readers, reader }: ModuleCalls,
  log: Logger,
  isOver: IsOver,
): Registry {
  const { provider, variable, call, name } = source
  const api = provider.api?.registrations
  if (api === undefined) throw notConfigured(`provider ${provider.name} has no API to register webhooks with`)
  if (call !== undefined) {
    const told: Registry['told'] = (id, action) => log.info({ source: name, id, action }, 'registration changed')
    return {
      source,
      api,
      make: async (part, ...args) => readers.api(provider, `registrations.${part}`, ...args),
      read: (part, answer, ...args) => reader.answered(provider, `registrations.${part}`, answer, args),
      call,
      isOver,
      told,
    }
  }
  const missing =
    provider.api?.url === undefined
      ? `${variable}_API_URL is not set; ${variable}_API_KEY may be needed too`
      : `${variable}_API_KEY is not set`
  throw notConfigured(missing)
}

export const isConfigured = ({ provider, call }: ConnectedSource): boolean =>
  provider.api?.registrations !== undefined && call !== undefined

/** Where the source receives. Throws `not_configured` where nobody knows. */
export function urlOf({ url, name }: ConnectedSource): string {
  if (url === undefined) throw notConfigured(`PUBLIC_URL is not set, so that source ${name} has no URL to register`)
  return url
}

const notConfigured = (message: string): HoldfastError => new HoldfastError('not_configured', message)
