import { type Html, html } from '../html/html.ts'
import { show } from '../html/show.ts'
import type { ConsolePorts } from '../ports.ts'

type Known = Pick<ConsolePorts, 'handlers' | 'isRunning' | 'sources'>

/** Whether no running process has the handler: it was renamed or removed, or its processes are down. */
export const isGone = (handler: string, { handlers, isRunning }: Omit<Known, 'sources'>): boolean =>
  !handlers().some(({ name }) => name === handler) || !isRunning(handler)

/** Why deliveries to the handler, of events of the source, cannot run; undefined: they can. */
export function whyGone(
  handler: string | undefined,
  source: string | undefined,
  ports: Known,
): { readonly what: Html; readonly mending: Html } | undefined {
  if (handler !== undefined && isGone(handler, ports))
    return {
      what: html`No running process has the handler ${show(handler, 80)}: it was renamed or removed, or its process is down.`,
      mending: html`Deploy it again`,
    }
  if (source !== undefined && !ports.sources().some(({ name }) => name === source))
    return {
      what: html`The source ${show(source, 80)} is not configured any more, so its events cannot be read.`,
      mending: html`Configure it again`,
    }
  return undefined
}
