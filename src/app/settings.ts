import type { Config } from '../domain/config.ts'
import type { SettingInForce } from '../domain/configuration.ts'
import { namesPostgres } from '../storage/shared/database-url.ts'
import type { GivenSetting } from './environment.ts'

interface SettingText {
  readonly meaning: string
  readonly isSecret?: true
  /** What may be shown of a value that can hold a secret. */
  readonly shown?: (value: string) => string | undefined
}

/** The settings that only a restart can change, and the text that gives each its present value. */
export const AT_START: Readonly<Record<string, (config: Config) => string>> = {
  HOST: ({ publicHost }) => publicHost,
  PORT: ({ publicPort }) => String(publicPort),
  OPS_HOST: ({ opsHost }) => opsHost,
  OPS_PORT: ({ opsPort }) => String(opsPort),
  METRICS_OPEN: ({ metricsOpen }) => String(metricsOpen),
  DATABASE_URL: ({ databaseUrl }) => databaseUrl,
  ROLE: ({ role }) => role,
  SHUTDOWN_GRACE_MS: ({ shutdownGraceMs }) => String(shutdownGraceMs),
  LOG_FORMAT: ({ logStyle }) => (logStyle === 'json' ? 'json' : 'pretty'),
}

export const isFixedAtStart = (setting: string): boolean => AT_START[setting] !== undefined

/** All settings by group, each with its meaning in a line; docs/configuration.md has more. A `*` stands for the name of a source. */
export const SETTING_GROUPS: Readonly<Record<string, Readonly<Record<string, SettingText>>>> = {
  Listeners: {
    HOST: { meaning: 'Address of the public listener, for webhooks' },
    PORT: { meaning: 'Port of the public listener' },
    OPS_HOST: { meaning: 'Address of the ops listener: this console, the API, metrics' },
    OPS_PORT: { meaning: 'Port of the ops listener' },
    OPS_TOKEN: { meaning: 'Tokens that may change things on the ops listener', isSecret: true },
    OPS_READ_TOKEN: { meaning: 'Tokens that may only read there', isSecret: true },
    OPS_ALLOWED_HOSTS: { meaning: 'Host names under which browsers reach the ops listener' },
    METRICS_OPEN: { meaning: 'Whether /metrics needs no token' },
    PUBLIC_URL: { meaning: 'URL under which providers reach the public listener', shown: withoutUser },
    TRUST_PROXY: { meaning: 'Proxies whose X-Forwarded-… headers are believed' },
    REQUIRE_HTTPS: { meaning: 'Whether clients that did not use https are refused' },
    BODY_LIMIT_BYTES: { meaning: 'Largest body of a webhook' },
  },
  Storage: {
    DATABASE_URL: { meaning: 'Where events are stored', shown: withoutPasswords },
    ROLE: { meaning: 'What this process does' },
    RETENTION_DAYS: { meaning: 'Days that events and ended tasks are kept; 0: for ever' },
    RETENTION_DEAD_DAYS: { meaning: 'Days that events with dead deliveries are kept; 0: for ever' },
  },
  Sources: {
    SOURCES: { meaning: 'Names of the sources' },
    'SOURCE_*_PROVIDER': { meaning: 'Its provider module' },
    'SOURCE_*_SECRET': { meaning: 'Secrets by which its webhooks are verified, the newest first', isSecret: true },
    'SOURCE_*_TYPES': { meaning: 'Event types that it handles' },
    'SOURCE_*_KEYS': { meaning: 'Paths in the payload whose values are indexed' },
    'SOURCE_*_DEDUPE': { meaning: 'How duplicates are recognised' },
    'SOURCE_*_EXPECT_EVERY': { meaning: 'How long it may be silent' },
    'SOURCE_*_REDELIVERY_REPLAYS_DEAD': {
      meaning: 'Whether dead deliveries of an event run again when it comes again',
    },
    'SOURCE_*_API_KEY': { meaning: "Key for the provider's API", isSecret: true },
    'SOURCE_*_API_URL': { meaning: "URL of the provider's API", shown: withoutUser },
  },
  Tasks: {
    TASK_MAX_WAIT_MS: { meaning: 'After this time without a webhook, the provider is polled' },
    TASK_DEADLINE_MS: { meaning: 'After this time a task expires' },
    POLL_INTERVAL_MS: { meaning: 'How often stale tasks are looked for' },
    ANSWER_LIMIT_BYTES: { meaning: 'Largest answer to a poll that is stored whole' },
  },
  'Handlers and modules': {
    HANDLERS_DIR: { meaning: 'Folder of the handler modules' },
    PROVIDERS_DIR: { meaning: 'Folder of your provider modules' },
    HANDLER_PROCESSES: { meaning: 'Processes that run handlers' },
    HANDLER_CONCURRENCY: { meaning: 'Handlers that run at the same time in each process' },
    HANDLER_MEMORY_MB: { meaning: 'Resident size, in MiB, at which a handler process is killed' },
    HANDLER_TIMEOUT_MS: { meaning: 'Deadline of one attempt' },
    RETRY_MAX_ATTEMPTS: { meaning: 'Attempts in all; then the delivery is dead' },
    RETRY_BASE_MS: { meaning: 'Longest wait after the first attempt; it doubles with each further one' },
    RETRY_CAP_MS: { meaning: 'Longest wait of all' },
  },
  'The process': {
    SHUTDOWN_GRACE_MS: { meaning: 'Time for an orderly stop' },
    LOG_LEVEL: { meaning: 'From which level on lines are logged' },
    LOG_FORMAT: { meaning: 'How lines of the log look' },
  },
}

const BY_NAME = new Map(
  Object.entries(SETTING_GROUPS).flatMap(([group, settings]) =>
    Object.entries(settings).map(([name, text]) => [name, { group, ...text }] as const),
  ),
)

interface OfSource {
  readonly name: string
  /** `SOURCE_<NAME>`. */
  readonly variable: string
}

/** The settings that were read, as they may be shown, in order of their groups. */
export function settingsInForce(
  given: Iterable<GivenSetting>,
  sources: readonly OfSource[],
): readonly SettingInForce[] {
  const order = [...BY_NAME.keys()]
  // The name of one source may be the beginning of another's.
  const longestFirst = sources.toSorted((one, other) => other.variable.length - one.variable.length)
  return [...given]
    .map((setting) => {
      const source = longestFirst.find(({ variable }) => setting.name.startsWith(`${variable}_`))
      const name = source === undefined ? setting.name : `SOURCE_*${setting.name.slice(source.variable.length)}`
      return { name, shown: shownOf(setting, name, source?.name) }
    })
    .toSorted((one, other) => order.indexOf(one.name) - order.indexOf(other.name))
    .map(({ shown }) => shown)
}

/** What this table does not know counts as secret. */
const UNKNOWN = { group: 'Others', meaning: '', isSecret: true } as const

function shownOf(
  { name, from, file, value, changedAtMs }: GivenSetting,
  known: string,
  source: string | undefined,
): SettingInForce {
  const text: SettingText & { readonly group: string } = BY_NAME.get(known) ?? UNKNOWN
  const count = from === 'default' ? 0 : (value ?? '').split(',').filter((each) => each.trim() !== '').length
  const isSecret = text.isSecret === true
  return {
    name,
    group: text.group,
    meaning: text.meaning,
    from,
    isFixed: isFixedAtStart(name),
    value: isSecret || value === undefined ? undefined : (text.shown ?? String)(value),
    ...(source !== undefined && { source }),
    ...(file !== undefined && { file }),
    ...(isSecret && { secret: { count, changedAtMs } }),
  }
}

/** A URL with a user, a password or a query is refused; nothing of it is shown either. */
function withoutUser(text: string): string | undefined {
  const url = URL.parse(text)
  return url === null || `${url.username}${url.password}${url.search}` !== '' ? undefined : text
}

/** Options of `pg` that hold no secret. */
const PLAIN_OPTIONS = new Set(['schema', 'sslmode', 'host', 'port', 'application_name', 'connect_timeout'])

/** The URL without its password, and without options that may hold one. */
function withoutPasswords(databaseUrl: string): string | undefined {
  if (!namesPostgres(databaseUrl)) return databaseUrl.startsWith('file:') ? databaseUrl : undefined
  const url = URL.parse(databaseUrl)
  if (url === null) return undefined
  if (url.password !== '') url.password = '…'
  const others = new Set(url.searchParams.keys()).difference(PLAIN_OPTIONS)
  for (const name of others) url.searchParams.set(name, '…')
  return url.href.replaceAll('%E2%80%A6', '…')
}
