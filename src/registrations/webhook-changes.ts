import { HoldfastError } from '../domain/errors.ts'
import { UNPRINTABLE } from '../domain/names.ts'
import type { Registration, RegistrationChanges } from '../domain/provider.ts'
import { EXPIRED_TYPE } from '../domain/task.ts'
import type { RegistrationOutcome, SourceRegistration } from '../domain/webhook-manager.ts'
import { compilePatterns } from '../pipeline/type-routes.ts'
import { checkedId, isSameTarget, ownUrl, shownRegistration } from './registration.ts'
import type { RegistrationClient } from './registration-client.ts'

const ALL = '*'

export async function createWebhook(
  client: RegistrationClient,
  events: readonly string[],
  url: string,
): Promise<RegistrationOutcome> {
  const { source } = client
  const answer = await client.send(await client.request('create', { url, events }, source.secret))
  const registration = await client.readRegistration(answer, { url, events, active: true })
  if (registration === undefined) throw client.failed('its answer is no registration, but it may have made one')
  client.logChange(registration.id, 'created')
  return {
    action: 'created',
    registration: shownRegistration(source, registration),
    ...(await newSecret(client, answer, registration)),
  }
}

async function newSecret(
  client: RegistrationClient,
  answer: Buffer,
  { id }: Registration,
): Promise<Partial<RegistrationOutcome>> {
  if (client.api.secret === undefined) return {}
  const secret = await client.readSecret(answer)
  if (secret === undefined || secret === '')
    throw client.failed(`it made registration ${id} but handed out no secret: delete it, or look the secret up there`)
  const configure = `Set ${client.source.variable}_SECRET to this secret, before the old one and a comma while both are in use, and restart. It is not shown again.`
  return { secret, configure }
}

/** `known`: the registration before the change, if it is known. */
export async function updateWebhook(
  client: RegistrationClient,
  id: string,
  changes: RegistrationChanges,
  known?: Registration,
): Promise<SourceRegistration> {
  const { source } = client
  const request = await client.request('update', id, changes, source.secret)
  if (request === undefined) {
    const fields = Object.keys(changes).join(', ')
    throw invalid(`provider ${source.provider.name} cannot change ${fields}`)
  }
  const answer = await client.send(request, id)
  const registration =
    (await client.readRegistration(answer, { ...known, ...changes })) ?? (await readFromList(client, answer, id))
  if (registration === undefined) throw client.failed('its answer is no registration, but it may have changed one')
  client.logChange(registration.id, 'updated')
  return shownRegistration(source, registration)
}

/** Reads an answer that does not have all fields of its registration: the others come from the list. */
async function readFromList(client: RegistrationClient, answer: Buffer, id: string): Promise<Registration | undefined> {
  const all = await client.listAll().catch((): readonly Registration[] => [])
  const present = all.find((each) => each.id === id)
  return present && client.readRegistration(answer, present)
}

export async function removeWebhook(client: RegistrationClient, id: string): Promise<void> {
  const checked = checkedId(client.source, id)
  await client.send(await client.request('remove', checked), checked)
  client.logChange(checked, 'deleted')
}

/** Idempotent as long as nothing else changes the source's registrations meanwhile. */
export async function ensureWebhook(
  client: RegistrationClient,
  requested: readonly string[] | undefined,
): Promise<RegistrationOutcome> {
  const { source } = client
  const url = ownUrl(source)
  const events = await eventsFor(client, requested)
  const ours = (await client.listAll()).filter((each) => isSameTarget(each.url, url))
  const complete = ours.find((each) => each.active && covers(each.events, events))
  if (complete !== undefined)
    return { action: 'unchanged', registration: shownRegistration(source, complete), ...oldSecret(client) }
  const found = ours.find(({ active }) => active) ?? ours[0]
  if (found === undefined) return createWebhook(client, events, url)
  const registration = await updateWebhook(client, found.id, missingFrom(found, events), found)
  return { action: 'updated', registration, ...oldSecret(client) }
}

const oldSecret = ({ api }: RegistrationClient): Partial<RegistrationOutcome> =>
  api.secret === undefined
    ? {}
    : {
        configure:
          'The provider showed its secret only when it was made. If you do not have it, delete the registration and run ensure again.',
      }

/** Contains the URL although it does not change, because a module sends the secret only together with the URL. */
const missingFrom = (
  { url, active, events: present }: Registration,
  wanted: readonly string[],
): RegistrationChanges => ({
  url,
  ...(!covers(present, wanted) && { events: withoutRepeats([...present, ...wanted]) }),
  ...(!active && { active: true }),
})

/**
 * The events of a registration, by the provider's names: those that the caller requested, else those of `SOURCE_<NAME>_TYPES`, else
 * all `events` of the provider module. Throws `invalid_request` for a pattern that matches no known event of the provider, and for a
 * text that cannot be a name.
 */
export async function eventsFor(
  client: RegistrationClient,
  requested: readonly string[] | undefined,
): Promise<readonly string[]> {
  const { source, api } = client
  if (requested !== undefined) return expand(client, requested, 'events')
  // Holdfast itself makes the event of an expired task.
  const types = source.types.filter((type) => type !== EXPIRED_TYPE)
  return types.includes(ALL) ? api.events : expand(client, types, `${source.variable}_TYPES`)
}

/** `variable`: the variable or field that contains the patterns, for messages. */
async function expand(
  client: RegistrationClient,
  patterns: readonly string[],
  variable: string,
): Promise<readonly string[]> {
  const { source, api } = client
  const { provider } = source
  const takesAll = api.events.includes(ALL)
  const known = takesAll ? Object.keys(provider.schemas ?? {}) : api.events
  const events: string[] = []
  for (const pattern of checkedNames(patterns, variable)) {
    const name = await client.eventName(pattern)
    if (name === undefined) throw client.failed(`its module has no name for event ${pattern}`)
    const isName = !name.includes('*') || (name === ALL && takesAll)
    const matching = isName ? [name] : known.filter(compilePatterns([name]))
    if (matching.length === 0) {
      const what = source.redact(pattern)
      throw invalid(`${variable}: no event of provider ${provider.name} is known to match ${what}; name the events`)
    }
    events.push(...matching)
  }
  return withoutRepeats(checkedNames(events, variable))
}

function checkedNames(names: readonly string[], variable: string): readonly string[] {
  if (names.some((name) => UNPRINTABLE.test(name)))
    throw invalid(`${variable}: an event's name holds a control character`)
  if (names.length === 0 || names.some((name) => name.trim() === '')) throw invalid(`${variable}: no event is named`)
  return names
}

const invalid = (message: string): HoldfastError => new HoldfastError('invalid_request', message)

/** Each event once; only `*` if it is among them, since it stands for all. */
const withoutRepeats = (events: readonly string[]): readonly string[] =>
  events.includes(ALL) ? [ALL] : [...new Set(events)]

const covers = (present: readonly string[], wanted: readonly string[]): boolean =>
  present.includes(ALL) || wanted.every((event) => present.includes(event))
