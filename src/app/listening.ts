import type { FastifyInstance } from 'fastify'
import { ConfigurationError } from '../domain/errors.ts'

export interface Listening {
  readonly listener: FastifyInstance
  /** The variables that say where. */
  readonly names: string
  readonly host: string
  readonly port: number
}

const CANNOT_LISTEN = new Set(['EADDRINUSE', 'EADDRNOTAVAIL', 'EACCES', 'ENOTFOUND', 'EAI_AGAIN'])

/** Gives the URLs. An address that cannot be had is the configuration's fault, or that of whoever has it already. */
export async function listenOn(places: readonly [Listening, Listening]): Promise<[string, string]> {
  const faults: string[] = []
  const listen = async ({ listener, names, host, port }: Listening): Promise<string> => {
    try {
      return await listener.listen({ host, port })
    } catch (error) {
      const { code = '' } = error as NodeJS.ErrnoException
      if (!CANNOT_LISTEN.has(code)) throw error
      faults.push(`${names}: cannot listen on ${host}, port ${port}: ${code}`)
      return ''
    }
  }
  const urls: [string, string] = [await listen(places[0]), await listen(places[1])]
  if (faults.length > 0) throw new ConfigurationError(faults)
  return urls
}

/** Lets requests finish; cuts off, after the time, those that do not. */
export async function closeListener(listener: FastifyInstance, patienceMs: number): Promise<void> {
  const cut = setTimeout(() => listener.server.closeAllConnections(), patienceMs)
  try {
    await listener.close()
  } finally {
    clearTimeout(cut)
  }
}
