import { HoldfastError } from '../domain/errors.ts'
import type { Registration, RegistrationWish } from '../domain/provider.ts'
import type { Registered, SourceRegistration } from '../domain/registrar.ts'
import { listAll, send } from './ask.ts'
import { covers, eventsFor, union } from './events.ts'
import { failed } from './failures.ts'
import { made, readOne, readText } from './module.ts'
import { shown } from './registration.ts'
import { type Registry, urlOf } from './source.ts'
import { isSameTarget } from './target.ts'

export async function create(registry: Registry, events: readonly string[], url: string): Promise<Registered> {
  const { source, told } = registry
  const answer = await send(registry, await made(registry, 'create', { url, events }, source.secret))
  const registration = await readOne(registry, answer, { url, events, active: true })
  if (registration === undefined) throw failed(source, 'it answered no registration, and may have made one')
  told(registration.id, 'created')
  return {
    action: 'created',
    registration: shown(source, registration),
    ...(await handedOut(registry, answer, registration)),
  }
}

async function handedOut(registry: Registry, answer: Buffer, { id }: Registration): Promise<Partial<Registered>> {
  const { source, api } = registry
  if (api.secret === undefined) return {}
  const secret = await readText(registry, 'secret', answer)
  if (secret === undefined || secret === '')
    throw failed(source, `it made registration ${id} but handed out no secret: delete it, or look the secret up there`)
  const configure = `Set ${source.variable}_SECRET to this secret, before the old one and a comma while both are in use, and restart. It is not shown again.`
  return { secret, configure }
}

/** `known`: how it was before, where that is known. */
export async function update(
  registry: Registry,
  id: string,
  wish: RegistrationWish,
  known?: Registration,
): Promise<SourceRegistration> {
  const { source, told } = registry
  const request = await made(registry, 'update', id, wish, source.secret)
  if (request === undefined) {
    const fields = Object.keys(wish).join(', ')
    throw new HoldfastError('invalid_request', `provider ${source.provider.name} cannot change ${fields}`)
  }
  const answer = await send(registry, request, id)
  const registration =
    (await readOne(registry, answer, { ...known, ...wish })) ?? (await readAgain(registry, answer, id))
  if (registration === undefined) throw failed(source, 'it answered no registration, and may have changed one')
  told(registration.id, 'updated')
  return shown(source, registration)
}

/** An answer may tell less than what a registration is, and the list the rest. */
async function readAgain(registry: Registry, answer: Buffer, id: string): Promise<Registration | undefined> {
  const all = await listAll(registry).catch((): readonly Registration[] => [])
  const present = all.find((each) => each.id === id)
  return present && readOne(registry, answer, present)
}

/** Idempotent as long as nothing else changes the source's registrations meanwhile. */
export async function ensure(registry: Registry, asked: readonly string[] | undefined): Promise<Registered> {
  const { source } = registry
  const url = urlOf(source)
  const events = await eventsFor(registry, asked)
  const ours = (await listAll(registry)).filter((each) => isSameTarget(each.url, url))
  const sound = ours.find((each) => each.active && covers(each.events, events))
  if (sound !== undefined)
    return { action: 'unchanged', registration: shown(source, sound), ...handedOutBefore(registry) }
  const found = ours.find(({ active }) => active) ?? ours[0]
  if (found === undefined) return create(registry, events, url)
  const registration = await update(registry, found.id, mending(found, events), found)
  return { action: 'updated', registration, ...handedOutBefore(registry) }
}

const handedOutBefore = ({ api }: Registry): Partial<Registered> =>
  api.secret === undefined
    ? {}
    : {
        configure:
          'Its secret was shown when it was made: whoever does not have it deletes the registration and runs ensure again.',
      }

/** The URL goes along although it stays, because the secret goes with it. */
const mending = ({ url, active, events: present }: Registration, wanted: readonly string[]): RegistrationWish => ({
  url,
  ...(!covers(present, wanted) && { events: union(present, wanted) }),
  ...(!active && { active: true }),
})
