import { userInfo } from 'node:os'
import { messageOf } from '../domain/errors.ts'
import { VERSION } from '../domain/version.ts'
import type { ProblemJson } from '../http/schemas/schema.ts'
import {
  type CliIo,
  CommandError,
  configOf,
  EXIT_FAILED,
  EXIT_NOT_FOUND,
  EXIT_NOT_PERMITTED,
  EXIT_TIMEOUT,
  EXIT_UNREACHABLE,
  EXIT_USAGE,
} from './command.ts'
import { createTransport, read, TimeoutError, type Transport } from './ops-transport.ts'

const REQUEST_TIMEOUT_MS = 30_000
/** Bytes of one answer: more than a body of the largest size that can be configured. */
const MAX_RESPONSE_BYTES = 80 * 1024 * 1024

/** The ops API of the running service. Every call rejects with `CommandError` unless the service answers 2xx. */
export interface OpsClient {
  get<Answer>(path: string, query?: QueryParameters): Promise<Answer>
  bytes(path: string): Promise<Uint8Array>
  /** An answer that does not end by itself; `signal` ends it. Reading it throws if the connection breaks. */
  stream(path: string, query: QueryParameters, signal: AbortSignal): Promise<AsyncIterable<Uint8Array>>
  post<Answer>(path: string, body: unknown, headers?: Readonly<Record<string, string>>): Promise<Answer>
  patch<Answer>(path: string, body: unknown): Promise<Answer>
  delete<Answer>(path: string): Promise<Answer | undefined>
}

/** The service did not answer 2xx. */
export class ProblemError extends CommandError {
  readonly status: number
  /** Every reason that the service gives, if it gives several. */
  readonly reasons: readonly string[]

  constructor(status: number, bytes: Buffer) {
    super(`${describeProblem(status, bytes)}${hint(status)}`, exitCodeOf(status))
    this.status = status
    this.reasons = readProblem(bytes).reasons ?? []
  }
}

/** What any listener of Holdfast answers where it has no route. */
const NO_ROUTE = 'urn:holdfast:problem:not-found'

/** By what the operator can do about it. */
function exitCodeOf(status: number): number {
  if (status === 400) return EXIT_USAGE
  if (status === 401 || status === 403) return EXIT_NOT_PERMITTED
  return status === 404 ? EXIT_NOT_FOUND : EXIT_FAILED
}

/** Matches faults of the variables that the client reads. */
const OWN_VARIABLES = /^(?:token \d+ of )?OPS_(?:PORT|TOKEN|READ_TOKEN(?! needs))/

/** Parameters that are undefined are left out. */
export type QueryParameters = Readonly<Record<string, string | number | readonly string[] | undefined>>

interface OpsOptions {
  /** The longest wait for the beginning of an answer, and between two parts of it. */
  readonly timeoutMs?: number
  /** The service; that of the configuration unless given. */
  readonly service?: OpsAddress
}

/** Where an ops API is, and its token. */
interface OpsAddress {
  /** Without a trailing slash. */
  readonly url: string
  readonly token: string | undefined
  /** A clause that tells what sets the address. */
  readonly setBy?: string
}

/** The ops API that the configuration names, and the token with which it may do most: of several the newest. */
export function configuredOps(io: Pick<CliIo, 'read'>): OpsAddress {
  const { opsHost, opsPort, opsTokens, opsReadTokens } = configOf(io, OWN_VARIABLES)
  return { url: `http://${reachable(opsHost)}:${opsPort}`, token: opsTokens[0] ?? opsReadTokens[0] }
}

/** Calls `use` with a client, and closes the client's connections afterwards. */
export async function withOps<Result>(
  io: Pick<CliIo, 'read'>,
  use: (ops: OpsClient) => Promise<Result>,
  { timeoutMs = REQUEST_TIMEOUT_MS, service = configuredOps(io) }: OpsOptions = {},
): Promise<Result> {
  const agent = await createTransport(new URL(service.url).protocol, { timeoutMs, maxBytes: MAX_RESPONSE_BYTES })
  try {
    return await use(createClient(agent, service))
  } finally {
    agent.destroy()
  }
}

function createClient(
  agent: Transport,
  { url, token, setBy = 'OPS_HOST and OPS_PORT set this address' }: OpsAddress,
): OpsClient {
  const { origin, pathname } = new URL(url)
  const base = pathname.replace(/\/$/, '')
  const client = { 'user-agent': `holdfast/${VERSION}`, ...claimedName() }
  const authorization = token === undefined ? {} : { authorization: `Bearer ${token}` }

  async function call(
    method: 'GET' | 'POST' | 'PATCH' | 'DELETE',
    path: string,
    body?: unknown,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<Buffer> {
    const answer = await agent
      .request({
        origin,
        path: base + path,
        method,
        headers: {
          ...headers,
          ...client,
          ...authorization,
          ...(body !== undefined && { 'content-type': 'application/json' }),
        },
        body: body === undefined ? null : JSON.stringify(body),
      })
      .catch((error: unknown) => {
        throw unreachable(origin, error, setBy)
      })
    const { statusCode, bytes } = answer
    if (statusCode >= 200 && statusCode < 300) return bytes
    throw refusal(statusCode, bytes, notHoldfast)
  }
  const notHoldfast = () =>
    new CommandError(`what answers at ${origin} is not the ops API of this Holdfast (${setBy})`, EXIT_UNREACHABLE)

  async function stream(path: string, query: QueryParameters, signal: AbortSignal): Promise<AsyncIterable<Uint8Array>> {
    const headers = { ...client, ...authorization }
    const answer = await agent
      .open({ origin, path: base + path + search(query), method: 'GET', headers, body: null }, signal)
      .catch((error: unknown) => {
        throw unreachable(origin, error, setBy)
      })
    if (answer.statusCode === 200 && answer.headers['content-type'] === 'text/event-stream') return answer
    const { statusCode, bytes } = await read(answer, MAX_RESPONSE_BYTES)
    if (statusCode === 200) throw notHoldfast()
    throw refusal(statusCode, bytes, notHoldfast)
  }

  const json = (bytes: Buffer) => parsed(bytes, notHoldfast)

  return {
    get: async (path, query = {}) => json(await call('GET', path + search(query))),
    bytes: (path) => call('GET', path),
    stream,
    post: async (path, body, headers) => json(await call('POST', path, body, headers)),
    patch: async (path, body) => json(await call('PATCH', path, body)),
    delete: async (path) => {
      const bytes = await call('DELETE', path)
      return bytes.length === 0 ? undefined : json(bytes)
    },
  }
}

function parsed(bytes: Buffer, notHoldfast: () => CommandError) {
  try {
    return JSON.parse(bytes.toString())
  } catch {
    throw notHoldfast()
  }
}

/** A 404 of the ops API names what there is not. Any other comes from another listener, or from another version. */
function refusal(status: number, bytes: Buffer, notHoldfast: () => CommandError): CommandError {
  const { type = NO_ROUTE } = readProblem(bytes)
  return status === 404 && type === NO_ROUTE ? notHoldfast() : new ProblemError(status, bytes)
}

/** The user of this machine, for the audit of the service. */
function claimedName(): Readonly<Record<string, string>> {
  const name = userName()?.replace(/\p{Cc}/gu, '?')
  return name === undefined ? {} : { 'x-holdfast-user': Buffer.from(name).toString('latin1') }
}

/** The user's name on this machine. */
export function userName(): string | undefined {
  try {
    return userInfo().username
  } catch {
    // In a container the user may have no name.
    return undefined
  }
}

/** The host of a URL that reaches a listener with this address. */
export function reachable(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1'
  if (host === '::') return '[::1]'
  return host.includes(':') ? `[${host}]` : host
}

/** The error of a command whose service gives no answer; `setBy` is a clause that tells what sets the address. */
export function unreachable(origin: string, error: unknown, setBy: string): CommandError {
  const reason = messageOf(error) || (error as NodeJS.ErrnoException).code
  if (error instanceof TimeoutError) return new CommandError(`no answer from ${origin}: ${reason}`, EXIT_TIMEOUT)
  return new CommandError(`no answer from ${origin}: is it running? (${reason}; ${setBy})`, EXIT_UNREACHABLE)
}

/** The title and detail of a problem (RFC 9457); if the body is not a problem, only the status. */
export function describeProblem(status: number, bytes: Buffer): string {
  const { title, detail } = readProblem(bytes)
  if (title === undefined) return `answered ${status}`
  return `${title} (${status})${detail === undefined ? '' : `: ${detail}`}`
}

function readProblem(bytes: Buffer): Partial<Pick<ProblemJson, 'type' | 'title' | 'detail' | 'reasons'>> {
  try {
    const { type, title, detail, reasons } = JSON.parse(bytes.toString()) as Readonly<Record<string, unknown>>
    return {
      ...(typeof type === 'string' && { type }),
      ...(typeof title === 'string' && { title }),
      ...(typeof detail === 'string' && { detail }),
      ...(Array.isArray(reasons) && { reasons: reasons.filter((reason) => typeof reason === 'string') }),
    }
  } catch {
    return {}
  }
}

const hint = (status: number): string => (status === 401 ? " (OPS_TOKEN must be the service's own)" : '')

function search(query: QueryParameters): string {
  const present = Object.entries(query).flatMap(([name, value]) =>
    [value ?? []].flat().map((each) => [name, String(each)]),
  )
  return present.length === 0 ? '' : `?${new URLSearchParams(present).toString()}`
}
