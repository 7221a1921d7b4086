import type { ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setTimeout as sleep } from 'node:timers/promises'

/** How an answer goes wrong. */
export type Fault =
  | { readonly kind: 'status'; readonly status: 400 | 401 | 403 | 404 | 410 | 422 | 500 | 502 | 503 }
  /** This body with 200. */
  | { readonly kind: 'answer'; readonly body: string }
  | { readonly kind: 'rate-limited'; readonly retryAfterSeconds: number; readonly as?: 'seconds' | 'date' }
  /** 200 with no JSON, JSON that is no task, or JSON that says that another task is completed. */
  | { readonly kind: 'garbage'; readonly form: 'text' | 'wrong-shape' | 'other-task' }
  /** To a path that says `completed`, whatever is true. */
  | { readonly kind: 'redirect'; readonly status?: 301 | 302 | 303 | 307 | 308 }
  /** A body that goes on for as long as the client reads. */
  | { readonly kind: 'endless' }
  /** No answer, for as long as the connection lasts; or the beginning of one. */
  | { readonly kind: 'silence'; readonly after?: 'nothing' | 'headers' }
  | { readonly kind: 'reset'; readonly after?: 'nothing' | 'headers' }
  /** An answer with fewer bytes than it announced. */
  | { readonly kind: 'truncated' }
  /** The true answer, late. */
  | { readonly kind: 'slow'; readonly delayMs: number }

/** The path under which a redirect's target lies; it answers falsely. */
export const REDIRECTED = '/redirected'

const CHUNK = Buffer.alloc(16_384, ' ')

/** Sends the faulty answer; `truth` sends the true one. Resolves when nothing more is to be sent. */
export async function misbehave(fault: Fault, url: string, response: ServerResponse, truth: () => void): Promise<void> {
  switch (fault.kind) {
    case 'status':
      return sendJson(response, fault.status, { error: { message: 'sk-echoed-by-the-provider' } })
    case 'answer':
      response
        .writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(fault.body) })
        .end(fault.body)
      return
    case 'rate-limited':
      return sendJson(response, 429, { error: 'slow down' }, { 'retry-after': retryAfter(fault) })
    case 'garbage':
      return sendGarbage(fault.form, response)
    case 'redirect':
      return sendJson(response, fault.status ?? 302, {}, { location: `${REDIRECTED}${url}` })
    case 'endless':
      return sendForEver(response)
    case 'silence':
      return begin(fault.after, response)
    case 'reset':
      begin(fault.after, response)
      // The client is to see the beginning before it sees the end.
      if (fault.after === 'headers') await sleep(20)
      response.socket?.resetAndDestroy()
      return
    case 'truncated':
      begin('headers', response)
      response.socket?.end()
      return
    case 'slow':
      await sleep(fault.delayMs, undefined, { ref: false })
      if (!response.destroyed) truth()
  }
}

export function sendJson(
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body))
}

/** Dates are in whole seconds, and so rounded up. */
function retryAfter({ retryAfterSeconds, as }: Fault & { kind: 'rate-limited' }): string {
  if (as !== 'date') return String(retryAfterSeconds)
  return new Date(Math.ceil(Date.now() / 1_000 + retryAfterSeconds) * 1_000).toUTCString()
}

function sendGarbage(form: (Fault & { kind: 'garbage' })['form'], response: ServerResponse): void {
  if (form === 'text') response.writeHead(200, { 'content-type': 'application/json' }).end('<html>{"status": completed')
  else if (form === 'wrong-shape') sendJson(response, 200, [{ status: { state: 'completed' } }])
  else sendJson(response, 200, { task_id: 'task_of_somebody_else', status: 'completed', result: 'not yours' })
}

function begin(after: 'nothing' | 'headers' | undefined, response: ServerResponse): void {
  if (after === 'headers')
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': 100 }).write('{"status":')
}

function* chunksWithoutEnd(response: ServerResponse): Generator<Buffer> {
  while (!response.destroyed) yield CHUNK
}

async function sendForEver(response: ServerResponse): Promise<void> {
  response.writeHead(200, { 'content-type': 'application/json' })
  await pipeline(Readable.from(chunksWithoutEnd(response)), response).catch(() => {})
}
