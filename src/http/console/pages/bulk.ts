import type { ConsolePorts } from '../ports.ts'
import type { ConsoleRoutes } from '../routes.ts'
import { registerBulkDiscard } from './bulk-discard.ts'
import { registerBulkReplay } from './bulk-replay.ts'
import { registerSelection } from './selection.ts'

/** The pages that ask before many events are replayed or dead letters discarded, and do it. */
export function registerBulk(routes: ConsoleRoutes, ports: ConsolePorts): void {
  registerBulkReplay(routes, ports)
  registerSelection(routes, ports)
  registerBulkDiscard(routes, ports)
}
