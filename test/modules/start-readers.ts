import pino from 'pino'
import { onTestFinished } from 'vitest'
import type { Provider } from '../../src/domain/provider.ts'
import { createIsolatedReaders } from '../../src/modules/isolated-readers.ts'
import wilful from './modules/wilful.ts'

export const provider = wilful as unknown as Provider
export const NOW_MS = Date.parse('2026-11-26T10:00:00Z')
export const bytes = (body: unknown): Buffer => Buffer.from(JSON.stringify(body))

/** Longer than it takes on the busiest machine. */
export const LONG_MS = 20_000
export const MODULES = { [provider.name]: import.meta.resolve('./modules/wilful.ts') }

/** `maxReadingMs` is short, for code that never ends; code that takes its time is given `LONG_MS`. */
export function start(modules = MODULES, maxReadingMs = 300) {
  const lines: Record<string, unknown>[] = []
  const log = pino({ level: 'debug' }, { write: (line: string) => lines.push(JSON.parse(line)) })
  const own = new Map([[provider, modules[provider.name] as string]])
  const readers = createIsolatedReaders(own, { environment: process.env, log, maxReadingMs })
  onTestFinished(() => readers.close())
  const read = async (body: unknown, headers = {}) => readers.event(provider, headers, bytes(body), NOW_MS)
  return { readers, read, lines }
}
