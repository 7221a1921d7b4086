import { HoldfastError } from '../domain/errors.ts'
import type { Registration, RegistrationWish } from '../domain/provider.ts'
import type { Registered, SourceRegistration } from '../domain/registrar.ts'
import { ask, failed, listAll, readAnswer } from './ask.ts'
import { covers, eventsFor, union } from './events.ts'
import { type RegistrableSource, type Registry, urlOf } from './source.ts'
import { isSameTarget } from './target.ts'

export async function create(registry: Registry, events: readonly string[], url: string): Promise<Registered> {
  const { source, api, told } = registry
  const answer = await ask(registry, api.create({ url, events }, source.secret))
  const registration = readAnswer(() => api.read(answer))
  if (registration === undefined) throw failed(source, 'it answered no registration, and may have made one')
  told(registration.id, 'created')
  return { action: 'created', registration: shown(source, registration), ...handedOut(registry, answer, registration) }
}

function handedOut({ source, api }: Registry, answer: unknown, { id }: Registration): Partial<Registered> {
  const { secret: secretIn } = api
  if (secretIn === undefined) return {}
  const secret = readAnswer(() => secretIn(answer))
  if (typeof secret !== 'string' || secret === '')
    throw failed(source, `it made registration ${id} but handed out no secret: delete it, or look the secret up there`)
  const configure = `Set ${source.variable}_SECRET to this secret, before the old one and a comma while both are in use, and restart. It is not shown again.`
  return { secret, configure }
}

export async function update(registry: Registry, id: string, wish: RegistrationWish): Promise<SourceRegistration> {
  const { source, api, told } = registry
  const request = api.update(id, wish, source.secret)
  if (request === undefined) {
    const fields = Object.keys(wish).join(', ')
    throw new HoldfastError('invalid_request', `provider ${source.provider.name} cannot change ${fields}`)
  }
  const answer = await ask(registry, request, id)
  const registration = readAnswer(() => api.read(answer))
  if (registration === undefined) throw failed(source, 'it answered no registration, and may have changed one')
  told(registration.id, 'updated')
  return shown(source, registration)
}

/** Idempotent as long as nothing else changes the source's registrations meanwhile. */
export async function ensure(registry: Registry, asked: readonly string[] | undefined): Promise<Registered> {
  const { source } = registry
  const url = urlOf(source)
  const events = eventsFor(registry, asked)
  const ours = (await listAll(registry)).filter((each) => isSameTarget(each.url, url))
  const sound = ours.find((each) => each.active && covers(each.events, events))
  if (sound !== undefined) return { action: 'unchanged', registration: shown(source, sound) }
  const found = ours.find(({ active }) => active) ?? ours[0]
  if (found === undefined) return create(registry, events, url)
  return { action: 'updated', registration: await update(registry, found.id, mending(found, events)) }
}

/** The URL goes along although it stays, because the secret goes with it. */
const mending = ({ url, active, events: present }: Registration, wanted: readonly string[]): RegistrationWish => ({
  url,
  ...(!covers(present, wanted) && { events: union(present, wanted) }),
  ...(!active && { active: true }),
})

/** Field by field: a provider module may give more than is to be told. */
export const shown = (source: RegistrableSource, { id, url, events, active }: Registration): SourceRegistration => ({
  source: source.name,
  id,
  url: source.redact(url),
  events,
  active,
  ours: source.url !== undefined && isSameTarget(url, source.url),
})
