import type { EventJson } from '../http/ops/events.ts'
import { expect } from './account.ts'
import type { DemoService } from './service.ts'

/** An event as the ops API shows it, as far as it is told here. */
export interface ShownEvent extends EventJson {
  readonly deliveries: readonly object[]
}

export async function ops<Body>(of: DemoService, path: string, init?: RequestInit): Promise<Body> {
  const response = await fetch(`${of.opsUrl}${path}`, init)
  expect(response.ok, `${path} to answer`)
  return (await response.json()) as Body
}

export const eventOf = (service: DemoService, uid: string): Promise<ShownEvent> => ops(service, `/v1/events/${uid}`)
