import { HoldfastError } from '../domain/errors.ts'
import { parseJson, valueAt } from '../domain/json.ts'
import type { ApiRequest } from '../domain/outbound.ts'
import type { Registration } from '../domain/provider.ts'
import type { RegistrableSource, Registry } from './source.ts'

/** Characters of a provider's own words that are passed on. */
const MAX_MESSAGE_LENGTH = 300
/** Pages of one list; a provider with more of them fails the list. */
const MAX_PAGES = 20

/** Where errors say what was wrong: Stripe and OpenAI, GitHub (the reason beside the title), and what others do. */
const MESSAGE_PATHS = ['error.message', 'message', 'errors.0.message', 'error', 'detail']

/** Gives the bytes of a 2xx answer. With an `id`, a 404 says that there is no such registration. */
async function send({ source, call }: Registry, request: ApiRequest, id?: string): Promise<Buffer> {
  const result = await call(request)
  if (!result.ok) throw failed(source, result.message)
  const { status, body } = result
  if (status >= 200 && status < 300) return body
  if (id !== undefined && (status === 404 || status === 410)) throw notFound(source, id)
  const words = wordsOf(source, body)
  throw failed(source, `it answered ${status}${words === '' ? '' : `: ${words}`}`)
}

/** The JSON of a 2xx answer. What cannot be read is not quoted: it might hold a secret. */
export async function ask(registry: Registry, request: ApiRequest, id?: string): Promise<unknown> {
  const parsed = parseJson(await send(registry, request, id))
  if (!parsed.ok) throw failed(registry.source, 'it answered what is no JSON')
  return parsed.value
}

/** What a provider module makes of an answer; undefined also where it stumbles over it. */
export function readAnswer<Value>(read: () => Value): Value | undefined {
  try {
    return read()
  } catch {
    return undefined
  }
}

/** All registrations, page after page. */
export async function listAll(registry: Registry): Promise<readonly Registration[]> {
  const { source, api } = registry
  const all: Registration[] = []
  let after: string | undefined
  for (let pages = 0; pages < MAX_PAGES; pages++) {
    const answer = await ask(registry, api.list(after))
    const page = readAnswer(() => api.readList(answer, after))
    if (page === undefined) throw failed(source, 'it answered what is no list of registrations')
    for (const item of page.items) {
      if (item === undefined) throw failed(source, 'its list holds what is no registration')
      all.push(item)
    }
    after = page.next
    if (after === undefined) return all
  }
  throw failed(source, `its list goes on after ${MAX_PAGES} pages`)
}

export async function remove(registry: Registry, id: string): Promise<void> {
  await send(registry, registry.api.remove(checkedId(registry.source, id)), id)
  registry.told(id, 'deleted')
}

/** What would lead to another path, however it is escaped, or is no text that a path can carry, names no registration. */
export function checkedId(source: RegistrableSource, id: string): string {
  if (id.isWellFormed() && !id.split(/[/\\]/).some((part) => /^\.{0,2}$/.test(part))) return id
  throw notFound(source, id)
}

export const failed = ({ name, provider, redact }: RegistrableSource, what: string): HoldfastError =>
  new HoldfastError('provider_failed', clip(redact(`${provider.name}, for source ${name}: ${what}`)))

const notFound = ({ name, redact }: RegistrableSource, id: string): HoldfastError =>
  new HoldfastError('registration_not_found', redact(`source ${name} has no registration ${id.toWellFormed()}`))

/** In one line. Redacted first: a secret that was smoothed would not be known as one. */
function wordsOf({ redact }: RegistrableSource, body: Buffer): string {
  const parsed = parseJson(body)
  if (!parsed.ok) return ''
  const words = MESSAGE_PATHS.map((path) => valueAt(parsed.value, path)).filter((text) => typeof text === 'string')
  const text = redact([...new Set(words)].join(': '))
  return text.replace(/[\s\p{Cc}\p{Cf}]+/gu, ' ').trim()
}

/** After redaction, never before: half a secret would not be known as one. */
const clip = (text: string): string =>
  text.length <= MAX_MESSAGE_LENGTH ? text : `${text.slice(0, MAX_MESSAGE_LENGTH)}…`
