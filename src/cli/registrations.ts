import type { RegistrationJson, RegistrationListJson, RegistrationOutcomeJson } from '../http/schemas/registrations.ts'
import { type CliIo, command, EXIT_FAILED, EXIT_OK, jsonFlag, UsageError } from './command.ts'
import { type OpsClient, withOps } from './ops-client.ts'
import { fields, printable, write, writeAnswer } from './output.ts'
import { type Columns, state, table, text, whole } from './table.ts'
import { stateCell, type View } from './view.ts'

const PATH = '/v1/registrations'
/** Far longer than any operation takes (`OPERATION_DEADLINE_MS` in registrations): an answer that the client misses may hold a secret. */
const ANSWER_TIMEOUT_MS = 360_000
const eventsFlag = { value: '<a,b>', help: "as the provider names them; the source's types unless given" } as const

export const registrationsList = command({
  name: 'registrations list',
  summary: 'Lists the webhooks registered at the providers, by asking them.',
  operands: [],
  flags: { source: { value: '<name>', help: 'of this source' }, json: jsonFlag },
  run: async ({ flags: { source, json } }, io) =>
    withProviders(io, async (ops) => {
      const answer: RegistrationListJson = await ops.get(PATH, { source })
      await writeAnswer(io, answer, { json }, ({ items }, view) => table(view, columns, items))
      const failures = answer.failed.map(({ source: name, detail }) => printable(`${name}: ${detail}`))
      await write(io.err, failures.map((line) => `holdfast registrations list: ${line}\n`).join(''))
      return failures.length === 0 ? EXIT_OK : EXIT_FAILED
    }),
})

const withProviders = (io: CliIo, use: (ops: OpsClient) => Promise<number>): Promise<number> =>
  withOps(io, use, { timeoutMs: ANSWER_TIMEOUT_MS })

const columns: Columns<RegistrationJson> = [
  text('SOURCE', ({ source }) => source),
  whole('ID', ({ id }) => id),
  state('STATE', ({ active }) => stateOf(active)),
  state('OURS', ({ ours }) => (ours ? 'yes' : 'no')),
  text('URL', ({ url }) => url),
  text('EVENTS', ({ events }) => events.join(', ')),
]

const stateOf = (active: boolean): string => (active ? 'active' : 'off')

export const registrationsCreate = command({
  name: 'registrations create',
  summary: 'Registers a webhook at the provider of a source, beside those that there are.',
  operands: ['source'],
  flags: {
    events: eventsFlag,
    url: { value: '<url>', help: 'where the source receives unless given' },
    json: jsonFlag,
  },
  run: async ({ flags: { events, url, json }, operands: [source] }, io) =>
    register(io, { source, ...eventsOf(events), ...(url !== undefined && { url }) }, json),
})

export const registrationsEnsure = command({
  name: 'registrations ensure',
  summary: 'Has a source registered once: finds its registration and mends it, or makes it.',
  operands: ['source'],
  flags: { events: eventsFlag, json: jsonFlag },
  run: async ({ flags: { events, json }, operands: [source] }, io) =>
    register(io, { source, ensure: true, ...eventsOf(events) }, json),
})

const register = (io: CliIo, body: object, json: boolean): Promise<number> =>
  withProviders(io, async (ops) => {
    await writeAnswer(io, await ops.post<RegistrationOutcomeJson>(PATH, body), { json }, describeOutcome)
    return EXIT_OK
  })

export const registrationsUpdate = command({
  name: 'registrations update',
  summary: 'Changes a registration; what is not given stays.',
  operands: ['source', 'id'],
  flags: {
    events: { value: '<a,b>', help: 'these from now on, in place of those that were' },
    url: { value: '<url>', help: 'where it goes from now on; the secret is sent along where it is ours' },
    enable: { help: 'switch it on' },
    disable: { help: 'switch it off' },
    json: jsonFlag,
  },
  run: async ({ flags: { events, url, enable, disable, json }, operands }, io) => {
    if (enable && disable) throw new UsageError('--enable and --disable exclude each other')
    const changes = {
      ...eventsOf(events),
      ...(url !== undefined && { url }),
      ...((enable || disable) && { active: enable }),
    }
    if (Object.keys(changes).length === 0) throw new UsageError('nothing is to be changed')
    return withProviders(io, async (ops) => {
      const registration = await ops.patch<RegistrationJson>(pathOf(...operands), changes)
      await writeAnswer(io, registration, { json }, (each, view) => describe(each, view))
      return EXIT_OK
    })
  },
})

export const registrationsDelete = command({
  name: 'registrations delete',
  summary: 'Deletes a registration at its provider.',
  operands: ['source', 'id'],
  flags: { json: jsonFlag },
  run: async ({ flags: { json }, operands: [source, id] }, io) =>
    withProviders(io, async (ops) => {
      await ops.delete(pathOf(source, id))
      const answer = { source, id, deleted: true }
      await writeAnswer(io, answer, { json }, () => `${printable(id)} of ${printable(source)} is deleted\n`)
      return EXIT_OK
    }),
})

const pathOf = (source: string, id: string): string => `${PATH}/${encodeURIComponent(source)}/${encodeURIComponent(id)}`

function eventsOf(list: string | undefined): { readonly events?: readonly string[] } {
  if (list === undefined) return {}
  const events = list.split(',').map((event) => event.trim())
  if (events.includes('')) throw new UsageError('--events holds an empty name')
  return { events }
}

const describe = (
  { source, id, url, events, active, ours }: RegistrationJson,
  view: View,
  action?: RegistrationOutcomeJson['action'],
): string =>
  fields(view, [
    ['action', action],
    ['source', source],
    ['id', id],
    ['url', ours ? url : `${url} (not this service)`],
    ['events', events.join(', ')],
    ['state', stateCell(stateOf(active))],
  ])

/** The only text that shows a secret which the provider has made. */
const describeOutcome = ({ action, registration, secret, configure }: RegistrationOutcomeJson, view: View): string =>
  describe(registration, view, action) +
  (configure === undefined ? '' : `\n${fields(view, [['secret', secret]])}${printable(configure)}\n`)
