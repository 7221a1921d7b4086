import type { Provider, TaskApi } from '../../src/domain/provider.ts'
import { shippedProviders } from '../../src/providers/index.ts'

export function shipped(name: string): Provider {
  const provider = shippedProviders.find((each) => each.name === name)
  if (provider === undefined) throw new Error(`no provider ${name}`)
  return provider
}

export function shippedTasks(name: string): TaskApi {
  const tasks = shipped(name).api?.tasks
  if (tasks === undefined) throw new Error(`provider ${name} has no tasks`)
  return tasks
}
