import { addEnvironmentFile } from '../app/environment.ts'
import type { Config, SourceConfig } from '../domain/config.ts'
import type { Provider } from '../domain/provider.ts'
import {
  type CliIo,
  CommandError,
  command,
  configOf,
  didYouMean,
  EXIT_FAILED,
  EXIT_NOT_FOUND,
  EXIT_OK,
  EXIT_USAGE,
  jsonFlag,
  parseCount,
  readObject,
  UsageError,
} from './command.ts'
import { reachable } from './ops-client.ts'
import { printable, write, writeJson } from './output.ts'
import type { Run } from './send-many.ts'

const MAX_COUNT = 10_000_000
/** Matches faults of the variables that this command reads, other than the variables of the source. */
const OWN_VARIABLES = /^(?:PORT|PUBLIC_URL) is /

export const send = command({
  name: 'send',
  summary: 'Sends a signed sample event, and prints the uid under which it is kept.',
  operands: ['source', 'type'],
  flags: {
    data: { value: '<file>', help: "JSON to send as the event's data; - reads it from the standard input" },
    count: { value: '<n>', help: 'how many events, each with an id of its own; prints a summary' },
    url: { value: '<url>', help: 'base URL of the public listener; http://127.0.0.1:PORT unless given' },
    public: { help: 'send to PUBLIC_URL' },
    json: jsonFlag,
  },
  run: async ({ flags, operands: [sourceName, type] }, io) => {
    const count = parseCount('count', flags.count ?? '1', MAX_COUNT)
    const config = configOf(io, OWN_VARIABLES)
    const base = baseUrl(config, flags.url, flags.public)
    const source = findSource(config, sourceName)
    const provider = await findProvider(config, source)
    // Imported only here: most commands need no provider.
    const { installedSamples } = await import('../providers/samples.ts')
    const samples = await installedSamples()
    if (flags.data === undefined && samples === undefined && provider.samples === undefined)
      throw new CommandError('no samples are installed here: give the data of the event with --data', EXIT_USAGE)
    const { sendMany } = await import('./send-many.ts')
    const run = await sendMany({
      url: `${base}/v1/webhooks/${source.name}`,
      signedUrl: `${config.publicUrl ?? base}/v1/webhooks/${source.name}`,
      secret: secretOf(config, source),
      provider,
      samples,
      type,
      data: flags.data === undefined ? undefined : await readObject(flags.data, io),
      count,
    })
    return report(run, flags.count === undefined, flags.json, io)
  },
})

function baseUrl(config: Config, urlFlag: string | undefined, toPublicUrl: boolean): string {
  if (urlFlag !== undefined && toPublicUrl) throw new UsageError('--url and --public exclude each other')
  if (toPublicUrl && config.publicUrl === undefined) throw new CommandError('PUBLIC_URL is not set')
  const base = urlFlag ?? (toPublicUrl ? config.publicUrl : undefined)
  if (base === undefined) return `http://${reachable(config.publicHost)}:${config.publicPort}`
  const url = URL.parse(base)
  if (url === null || !/^https?:$/.test(url.protocol)) throw new UsageError('--url is an http(s) URL')
  return base.replace(/\/+$/, '')
}

function findSource(config: Config, name: string): SourceConfig {
  const source = config.sources.find((candidate) => candidate.name === name)
  if (source !== undefined) return source
  const known = config.sources.map((candidate) => candidate.name)
  throw new CommandError(
    `there is no source ${name}; SOURCES names ${known.join(', ')}${didYouMean(name, known)}`,
    EXIT_NOT_FOUND,
  )
}

function secretOf(config: Config, source: SourceConfig): string {
  const [secret] = source.secrets
  if (secret !== undefined) return secret
  throw new CommandError(
    config.generatedSecretFile === undefined
      ? `${source.variable}_SECRET is not set`
      : `source ${source.name} has no secret yet: the first start of the service makes it, in ${config.generatedSecretFile}`,
  )
}

async function findProvider(config: Config, source: SourceConfig): Promise<Provider> {
  if (config.providersDir !== undefined) addEnvironmentFile()
  const { loadProviders } = await import('../providers/load-providers.ts')
  const { providers, faults } = await loadProviders(config.providersDir)
  const provider = providers.get(source.provider)?.provider
  if (provider !== undefined) return provider
  throw new CommandError([`there is no provider ${source.provider}`, ...faults].join('; '))
}

/** Writes the uid of a single event, or a summary of several. */
async function report(run: Run, single: boolean, json: boolean, io: CliIo): Promise<number> {
  const failed = run.problems.size > 0
  if (single) {
    if (failed) throw new CommandError([...run.problems.keys()].join('; '))
    if (json) await writeJson(io.out, run.receipt)
    else await write(io.out, `${printable(run.receipt?.uid ?? '')}\n`)
  } else if (json) await writeJson(io.out, figures(run))
  else await write(failed ? io.err : io.out, summary(run))
  return failed ? EXIT_FAILED : EXIT_OK
}

const figures = ({ sent, stored, duplicates, problems, elapsedMs, ackMicroseconds }: Run) => ({
  sent,
  stored,
  duplicates,
  problems: Object.fromEntries(problems),
  seconds: Number((elapsedMs / 1_000).toFixed(3)),
  per_second: Math.round(stored / (elapsedMs / 1_000)),
  ack_ms: stored === 0 ? null : { p50: milliseconds(ackMicroseconds, 50), p99: milliseconds(ackMicroseconds, 99) },
})

const milliseconds = (histogram: Run['ackMicroseconds'], percentile: number): number =>
  Number((histogram.percentile(percentile) / 1_000).toFixed(1))

function summary(run: Run): string {
  const { sent, stored, duplicates, problems, seconds, per_second, ack_ms } = figures(run)
  const lines = [
    `${stored} of ${sent} events stored in ${seconds} s (${per_second}/s)`,
    ack_ms !== null && `acknowledged in ${ack_ms.p50} ms (median), ${ack_ms.p99} ms (99th percentile)`,
    duplicates > 0 && `${duplicates} of them were duplicates`,
    ...Object.entries(problems).map(([problem, count]) => `${count} refused: ${printable(problem)}`),
  ]
  return lines.flatMap((line) => (line === false ? [] : [`${line}\n`])).join('')
}
