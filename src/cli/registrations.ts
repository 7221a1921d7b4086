import type { RegistrationList, RegistrationOutcome, SourceRegistration } from '../domain/webhook-manager.ts'
import { type CliIo, type Command, EXIT_FAILED, EXIT_OK, parse, UsageError, write, writeJson } from './command.ts'
import { type OpsClient, withOps } from './ops-client.ts'
import { fields, printable, table } from './table.ts'

const PATH = '/v1/registrations'
/** Far above what an operation takes at worst (OPERATION_DEADLINE_MS in registrations): an answer that is missed may hold a secret. */
const ANSWER_TIMEOUT_MS = 360_000
const text = { type: 'string' } as const
const flag = { type: 'boolean' } as const

const eventsOption = ['--events <a,b>', "as the provider names them; the source's types unless given"] as const
const urlOption = ['--url <url>', 'where the source receives unless given'] as const
const jsonOption = ['--json', 'as JSON'] as const

export const registrationsList: Command = {
  name: 'registrations list',
  operands: '[options]',
  summary: 'Lists the webhooks registered at the providers, by asking them.',
  options: [['--source <name>', 'of this source'], jsonOption],
  run: async (args, io) => {
    const { source, json } = parse(args, { source: text, json: flag }, []).values
    return withProviders(io, async (ops) => {
      const answer: RegistrationList = await ops.get(PATH, { source })
      await (json === true ? writeJson(io.out, answer) : write(io.out, table(headings, answer.items.map(row))))
      const failures = answer.failed.map(({ source: name, detail }) => printable(`${name}: ${detail}`))
      await write(io.err, failures.map((line) => `holdfast registrations list: ${line}\n`).join(''))
      return failures.length === 0 ? EXIT_OK : EXIT_FAILED
    })
  },
}

const withProviders = (io: CliIo, use: (ops: OpsClient) => Promise<number>): Promise<number> =>
  withOps(io, use, ANSWER_TIMEOUT_MS)

const headings = ['SOURCE', 'ID', 'STATE', 'OURS', 'URL', 'EVENTS']

const row = ({ source, id, active, ours, url, events }: SourceRegistration): readonly string[] => [
  source,
  id,
  stateOf(active),
  ours ? 'yes' : 'no',
  url,
  events.join(', '),
]

const stateOf = (active: boolean): string => (active ? 'active' : 'off')

export const registrationsCreate: Command = {
  name: 'registrations create',
  operands: '<source> [options]',
  summary: 'Registers a webhook at the provider of a source, beside those that there are.',
  options: [eventsOption, urlOption, jsonOption],
  run: async (args, io) => {
    const { values, operands } = parse(args, { events: text, url: text, json: flag }, ['source'])
    const { events, url, json } = values
    return withProviders(io, async (ops) => {
      const body = { source: operands[0], ...eventsOf(events), ...(url !== undefined && { url }) }
      const registered: RegistrationOutcome = await ops.post(PATH, body)
      await (json === true ? writeJson(io.out, registered) : write(io.out, told(registered)))
      return EXIT_OK
    })
  },
}

export const registrationsEnsure: Command = {
  name: 'registrations ensure',
  operands: '<source> [options]',
  summary: 'Has a source registered once: finds its registration and mends it, or makes it.',
  options: [eventsOption, jsonOption],
  run: async (args, io) => {
    const { values, operands } = parse(args, { events: text, json: flag }, ['source'])
    return withProviders(io, async (ops) => {
      const body = { source: operands[0], ensure: true, ...eventsOf(values.events) }
      const registered: RegistrationOutcome = await ops.post(PATH, body)
      await (values.json === true ? writeJson(io.out, registered) : write(io.out, told(registered)))
      return EXIT_OK
    })
  },
}

export const registrationsUpdate: Command = {
  name: 'registrations update',
  operands: '<source> <id> [options]',
  summary: 'Changes a registration; what is not given stays.',
  options: [
    ['--events <a,b>', 'these from now on, in place of those that were'],
    ['--url <url>', 'where it goes from now on; the secret is sent along where it is ours'],
    ['--enable', 'switch it on'],
    ['--disable', 'switch it off'],
    jsonOption,
  ],
  run: async (args, io) => {
    const options = { events: text, url: text, enable: flag, disable: flag, json: flag } as const
    const { values, operands } = parse(args, options, ['source', 'id'])
    const { events, url, enable = false, disable = false, json } = values
    if (enable && disable) throw new UsageError('--enable and --disable exclude each other')
    const changes = {
      ...eventsOf(events),
      ...(url !== undefined && { url }),
      ...((enable || disable) && { active: enable }),
    }
    if (Object.keys(changes).length === 0) throw new UsageError('nothing is to be changed')
    return withProviders(io, async (ops) => {
      const registration: SourceRegistration = await ops.patch(pathOf(...operands), changes)
      await (json === true ? writeJson(io.out, registration) : write(io.out, described(registration)))
      return EXIT_OK
    })
  },
}

export const registrationsDelete: Command = {
  name: 'registrations delete',
  operands: '<source> <id> [options]',
  summary: 'Deletes a registration at its provider.',
  options: [jsonOption],
  run: async (args, io) => {
    const { values, operands } = parse(args, { json: flag }, ['source', 'id'])
    const [source, id] = operands
    return withProviders(io, async (ops) => {
      await ops.delete(pathOf(source, id))
      await (values.json === true
        ? writeJson(io.out, { source, id, deleted: true })
        : write(io.out, `${printable(id)} of ${printable(source)} is deleted\n`))
      return EXIT_OK
    })
  },
}

const pathOf = (source: string, id: string): string => `${PATH}/${encodeURIComponent(source)}/${encodeURIComponent(id)}`

function eventsOf(list: string | undefined): { readonly events?: readonly string[] } {
  if (list === undefined) return {}
  const events = list.split(',').map((event) => event.trim())
  if (events.includes('')) throw new UsageError('--events holds an empty name')
  return { events }
}

const described = (
  { source, id, url, events, active, ours }: SourceRegistration,
  action?: RegistrationOutcome['action'],
): string =>
  fields([
    ['action', action],
    ['source', source],
    ['id', id],
    ['url', ours ? url : `${url} (not this service)`],
    ['events', events.join(', ')],
    ['state', stateOf(active)],
  ])

/** The one place where a secret that a provider hands out can be seen. */
const told = ({ action, registration, secret, configure }: RegistrationOutcome): string =>
  described(registration, action) +
  (configure === undefined ? '' : `\n${fields([['secret', secret]])}${printable(configure)}\n`)
