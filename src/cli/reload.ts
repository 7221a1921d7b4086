import { EXIT_CONFIGURATION } from '../domain/errors.ts'
import type { ReloadJson } from '../http/schemas/reload.ts'
import { type CliIo, command, EXIT_FAILED, EXIT_OK, jsonFlag } from './command.ts'
import { configuredOps, ProblemError, withOps } from './ops-client.ts'
import { fields, printable, write, writeAnswer } from './output.ts'
import type { View } from './view.ts'

/** The service loads all modules, which may take as long as at its start. */
const TIMEOUT_MS = 120_000

export const reload = command({
  name: 'reload',
  summary:
    'Has the running service read its settings, secrets and modules again; exit code 78 if it refuses them, and keeps the old ones.',
  operands: [],
  flags: { json: jsonFlag },
  run: async ({ flags: { json } }, io) => {
    try {
      const changes = await ask(io)
      await writeAnswer(io, changes, { json }, describe)
      return EXIT_OK
    } catch (error) {
      if (!(error instanceof ProblemError) || ![422, 503].includes(error.status)) throw error
      await write(io.err, `holdfast reload: ${printable(error.message)}\n`)
      for (const reason of error.reasons) await write(io.err, `  - ${printable(reason)}\n`)
      return error.status === 422 ? EXIT_CONFIGURATION : EXIT_FAILED
    }
  },
})

/** While OPS_TOKEN is being replaced, the service knows only some of the tokens that are set now. */
async function ask(io: CliIo): Promise<ReloadJson> {
  const { url, token } = configuredOps(io)
  const tokens = [...new Set([token, ...io.read().config.opsTokens])]
  let refusal: unknown
  for (const each of tokens) {
    const options = { timeoutMs: TIMEOUT_MS, service: { url, token: each } }
    try {
      return await withOps(io, (ops) => ops.post<ReloadJson>('/v1/reload', {}), options)
    } catch (error) {
      if (!(error instanceof ProblemError) || error.status !== 401) throw error
      refusal = error
    }
  }
  throw refusal
}

function describe({ sources, handlers, settings, restart_needed, duration_ms }: ReloadJson, view: View): string {
  const list = (names: readonly string[]): string | undefined => (names.length === 0 ? undefined : names.join(', '))
  return [
    `reloaded in ${duration_ms} ms\n`,
    fields(view, [
      ['settings changed', list(settings) ?? 'none'],
      ['sources added', list(sources.added)],
      ['sources removed', list(sources.removed)],
      ['sources changed', list(sources.changed.map(describeSource))],
      ['handlers added', list(handlers.added)],
      ['handlers removed', list(handlers.removed)],
      ['need a restart', list(restart_needed)],
    ]),
  ].join('')
}

function describeSource({
  name,
  secrets,
  secrets_added: added,
  secrets_removed: removed,
}: ReloadJson['sources']['changed'][number]): string {
  if (added.length + removed.length === 0) return name
  const parts = [
    `${secrets} secret${secrets === 1 ? '' : 's'}`,
    ...(added.length > 0 ? [`new at place ${added.join(' and ')}`] : []),
    ...(removed.length > 0 ? [`removed from place ${removed.join(' and ')}`] : []),
  ]
  return `${name} (${parts.join('; ')})`
}
