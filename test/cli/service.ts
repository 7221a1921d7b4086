import { afterAll } from 'vitest'
import { type LocalService, startLocal as start } from '../support/local-service.ts'

export type { LocalService }

/** The whole service within this process, for all tests of a file; it is gone after the last of them. */
export const startLocal = (given: Record<string, string> = {}, directory?: string): Promise<LocalService> =>
  start({ LOG_LEVEL: 'silent', ...given }, { onEnd: afterAll, ...(directory !== undefined && { directory }) })
