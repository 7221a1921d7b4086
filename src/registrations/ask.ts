import { MAX_SHORT_ANSWER_BYTES } from '../domain/limits.ts'
import type { Registration } from '../domain/provider.ts'
import { OPERATION_DEADLINE_MS } from './deadline.ts'
import { failed, notFound, wordsOf } from './failures.ts'
import { made, readPage, sendable } from './module.ts'
import { checkedId } from './registration.ts'
import type { Registry } from './source.ts'

/** Pages of one list; a provider with more of them fails the list. */
const MAX_PAGES = 20

/** Gives the bytes of a 2xx answer. With an `id`, a 404 says that there is no such registration. */
export async function send({ source, call, isOver }: Registry, made: unknown, id?: string): Promise<Buffer> {
  const request = sendable(source, made)
  if (isOver())
    throw failed(source, `it took more than ${OPERATION_DEADLINE_MS / 1_000} s; nothing more was asked of it`)
  const result = await call(request, undefined, { maxBytes: MAX_SHORT_ANSWER_BYTES })
  if (!result.ok) throw failed(source, result.message)
  const { status, body } = result
  if (status >= 200 && status < 300) return body
  if (id !== undefined && (status === 404 || status === 410)) throw notFound(source, id)
  const words = wordsOf(source, body)
  throw failed(source, `it answered ${status}${words === '' ? '' : `: ${words}`}`)
}

/** All registrations that can be read, page after page. */
export async function listAll(registry: Registry): Promise<readonly Registration[]> {
  const { source } = registry
  const all: Registration[] = []
  let after: string | undefined
  for (let pages = 0; pages < MAX_PAGES; pages++) {
    const answer = await send(registry, await made(registry, 'list', after))
    const page = await readPage(registry, answer, after)
    if (page === undefined) throw failed(source, 'it answered what is no list of registrations')
    all.push(...page.items)
    after = page.next
    if (after === undefined) return all
  }
  throw failed(source, `its list goes on after ${MAX_PAGES} pages`)
}

export async function remove(registry: Registry, id: string): Promise<void> {
  const { source, told } = registry
  const checked = checkedId(source, id)
  await send(registry, await made(registry, 'remove', checked), checked)
  told(checked, 'deleted')
}
