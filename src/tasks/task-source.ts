import type { CallProvider } from '../domain/outbound.ts'
import type { Provider, TaskApi } from '../domain/provider.ts'
import type { Source } from '../domain/source.ts'

/** A source, and what it takes to have its provider do work. */
export interface TaskSource {
  readonly source: Source
  /** Undefined: its API is not configured, so that its tasks can be tracked, but nobody can be asked for them. */
  readonly call: CallProvider | undefined
  /** The newest of its secrets. */
  readonly secret: string
  /** Takes keys and secrets out of a text. */
  readonly redact: (text: string) => string
}

/** How the provider can be asked for tasks; undefined where it cannot. */
export function askable({
  source,
  call,
}: TaskSource): { readonly api: TaskApi; readonly provider: Provider; readonly call: CallProvider } | undefined {
  const api = source.provider.api?.tasks
  return api === undefined || call === undefined ? undefined : { api, provider: source.provider, call }
}

/** Why it cannot, where it cannot. */
export const whyUnaskable = ({ source }: TaskSource): string =>
  source.provider.api?.tasks === undefined
    ? `provider ${source.provider.name} tells nothing of tasks`
    : `the API of source ${source.name} is not configured`
