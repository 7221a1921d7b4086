import type { ConsolePorts } from '../ports.ts'

/** Whether no running process has the handler: it was renamed or removed, or its processes are down. */
export const isGone = (
  handler: string,
  { handlers, isRunning }: Pick<ConsolePorts, 'handlers' | 'isRunning'>,
): boolean => !handlers().some(({ name }) => name === handler) || !isRunning(handler)
