import { isHoldfastError } from '../domain/errors.ts'
import type { ReadyRequest } from '../domain/outbound.ts'
import type { Registration, RegistrationWish } from '../domain/provider.ts'
import type { ConnectedSource } from '../domain/source.ts'
import { failed, notMade } from './failures.ts'
import { checkedRegistration } from './registration.ts'
import type { ReaderName, Registry, RequestName } from './source.ts'

/** Modules may be the user's own: what they give is nothing until it is seen to be what it should be. */

const METHODS: ReadonlySet<unknown> = new Set<ReadyRequest['method']>(['GET', 'POST', 'PATCH', 'PUT', 'DELETE'])

/** Throws `not_configured` where the module does. */
export async function made(
  { source, make }: Registry,
  name: RequestName,
  ...args: readonly unknown[]
): Promise<unknown> {
  try {
    return await make(name, ...args)
  } catch (error) {
    if (isHoldfastError(error)) throw error
    throw notMade(source, error)
  }
}

/** Throws `provider_failed` for what cannot be sent. */
export function sendable(source: ConnectedSource, request: unknown): ReadyRequest {
  if (isRequest(request)) return request
  throw failed(source, 'its module made no request that can be sent')
}

function isRequest(value: unknown): value is ReadyRequest {
  if (typeof value !== 'object' || value === null) return false
  const { method, path, query, headers } = value as Record<keyof ReadyRequest, unknown>
  if (!METHODS.has(method) || typeof path !== 'string' || !path.startsWith('/')) return false
  return [query, headers].every((part) => part === undefined || (typeof part === 'object' && part !== null))
}

export interface Page {
  readonly items: readonly Registration[]
  readonly next: string | undefined
}

/** Leaves out what is no registration that could be used: another's oddity keeps nobody from his own. */
export async function readPage(
  registry: Registry,
  answer: Buffer,
  after: string | undefined,
): Promise<Page | undefined> {
  const { items, next } = ((await read(registry, 'readList', answer, after)) ?? {}) as {
    readonly items?: unknown
    readonly next?: unknown
  }
  if (!Array.isArray(items) || !(next === undefined || next === null || typeof next === 'string')) return undefined
  const registrations = items.map((item) => checkedRegistration(registry.source, item))
  return { items: registrations.filter((each) => each !== undefined), next: next ?? undefined }
}

/** `asked`: what the answer need not repeat. */
export const readOne = async (
  registry: Registry,
  answer: Buffer,
  asked: RegistrationWish,
): Promise<Registration | undefined> =>
  checkedRegistration(registry.source, await read(registry, 'read', answer, asked))

export async function readText(registry: Registry, name: ReaderName, answer: Buffer): Promise<string | undefined> {
  const value = await read(registry, name, answer)
  return typeof value === 'string' ? value : undefined
}

/** Undefined where the module does not read it. Throws `provider_failed` for what is no JSON. What cannot be read is not quoted: it might hold a secret. */
async function read(
  registry: Registry,
  name: ReaderName,
  answer: Buffer,
  ...args: readonly unknown[]
): Promise<unknown> {
  const says = await registry.read(name, answer, ...args)
  if (says.kind === 'unreadable') throw failed(registry.source, 'it answered what is no JSON')
  return says.kind === 'read' ? says.value : undefined
}
