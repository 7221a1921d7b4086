import { randomUUID } from 'node:crypto'
import ai from '../providers/ai/provider.ts'
import { signRequest } from '../signatures/schemes.ts'
import { expect, say, shortened } from './account.ts'

/** What Holdfast answers to a webhook. */
export interface Answer {
  readonly status: number
  readonly uid: string
  readonly duplicate: boolean
  readonly title?: string
}

export interface Sender {
  /** Signs a body as its provider would, sends it, and tells what came back. */
  send(url: string, body: string): Promise<Answer>
  /** Uids. */
  readonly acknowledged: ReadonlySet<string>
}

export function createSender(secret: string): Sender {
  const acknowledged = new Set<string>()
  return {
    acknowledged,
    async send(url, body) {
      const bytes = Buffer.from(body)
      const { headers } = signRequest(ai.verify, secret, { id: `msg_${randomUUID()}`, body: bytes, nowMs: Date.now() })
      say(`→ POST ${new URL(url).pathname}  ${shortened(body)}`)
      const startedAt = performance.now()
      const response = await fetch(url, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body: bytes,
      })
      const answer = { status: response.status, ...((await response.json()) as Omit<Answer, 'status'>) }
      if (response.ok) acknowledged.add(answer.uid)
      const ms = (performance.now() - startedAt).toFixed(1)
      const kept = answer.duplicate ? `duplicate of ${answer.uid}` : `kept as ${answer.uid}`
      say(`← ${response.status} after ${ms} ms  ${response.ok ? kept : answer.title}`)
      return answer
    },
  }
}

export const eventBody = (id: string, type: string, data: unknown): string =>
  JSON.stringify({ id, type, created_at: new Date().toISOString(), data })

/** Throws unless it was acknowledged as new. Gives the uid. */
export function keptAs({ status, uid, duplicate }: Answer): string {
  expect(status === 200 && !duplicate, '200, and that it is new')
  return uid
}
