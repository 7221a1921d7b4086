import type { CallProvider } from '../domain/outbound.ts'
import type { Provider, TaskApi } from '../domain/provider.ts'
import type { ConnectedSource } from '../domain/source.ts'

/** How the provider can be asked for tasks; undefined where it cannot. */
export function askable({
  provider,
  call,
}: ConnectedSource): { readonly api: TaskApi; readonly provider: Provider; readonly call: CallProvider } | undefined {
  const api = provider.api?.tasks
  return api === undefined || call === undefined ? undefined : { api, provider, call }
}

/** Why it cannot, where it cannot. */
export const whyUnaskable = ({ name, provider }: ConnectedSource): string =>
  provider.api?.tasks === undefined
    ? `provider ${provider.name} tells nothing of tasks`
    : `the API of source ${name} is not configured`
