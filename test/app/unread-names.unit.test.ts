import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { readConfig } from '../../src/app/config.ts'

const SETTINGS = {
  SOURCES: 'stripe,my-shop',
  SOURCE_STRIPE_SECRET: 'whsec_1',
  SOURCE_MY_SHOP_SECRET: 'whsec_2',
  OPS_TOKEN: 'b0a1f7c2d93e4856',
}
const warningsFor = (name: string, environment: Record<string, string> = SETTINGS) =>
  readConfig({ ...environment, [name]: '7' }).warnings

describe('a variable that looks like a setting', () => {
  test.each([
    ['RETENTION_DAY', 'RETENTION_DAYS'],
    ['RETENTION_DYAS', 'RETENTION_DAYS'],
    ['HANDLER_TIMEOUT', 'HANDLER_TIMEOUT_MS'],
    ['HANDLER_CONCURENCY', 'HANDLER_CONCURRENCY'],
    ['HANDLERS_DIRR', 'HANDLERS_DIR'],
    ['SHUTDOWN_GRACE', 'SHUTDOWN_GRACE_MS'],
    ['SOURC_STRIPE_TYPES', 'SOURCE_STRIPE_TYPES'],
    ['DATABASE_URI', 'DATABASE_URL'],
    ['DATABASE_URI_FILE', 'DATABASE_URL_FILE'],
    ['LOG_LEVLE', 'LOG_LEVEL'],
  ])('is warned of with the nearest name: %s', (name, nearest) => {
    expect(warningsFor(name)).toEqual([`${name} is not a setting: is ${nearest} meant?`])
  })

  test.each([
    ['SOURCE_STRIPE_SECERT', 'not a setting of source stripe: is SOURCE_STRIPE_SECRET meant?'],
    ['SOURCE_STRIPE_API_KEY_FIEL', 'not a setting of source stripe: is SOURCE_STRIPE_API_KEY_FILE meant?'],
    ['SOURCE_MY_SHOP_COLOUR', 'not a setting of source my-shop'],
    ['SOURCE_STRIP_SECRET', 'a setting of no source: SOURCES names stripe, my-shop: is SOURCE_STRIPE_SECRET meant?'],
    [
      'SOURCE_STRIP_SECRET_FILE',
      'a setting of no source: SOURCES names stripe, my-shop: is SOURCE_STRIPE_SECRET_FILE meant?',
    ],
    ['SOURCE_GITHUB_SECRET', 'a setting of no source: SOURCES names stripe, my-shop'],
    ['SOURCE_STRIP_SECRETS', 'not a setting: is SOURCE_STRIPE_SECRET meant?'],
  ])('is warned of where it has the form of a source: %s', (name, warning) => {
    expect(warningsFor(name)).toEqual([`${name} is ${warning}`])
  })

  test('is warned of where it should name the sources', () => {
    expect(warningsFor('SOURCE', { SOURCE_AI_SECRET: 'whsec_1' })).toEqual([
      'SOURCE is not a setting: is SOURCES meant?',
    ])
  })

  test('is not warned of where the setting itself is set, by its value or by its file', () => {
    expect(warningsFor('DATABASE_URL2', { ...SETTINGS, DATABASE_URL: 'file:a.db' })).toEqual([])
    expect(warningsFor('HANDLER_TIMEOUT', { ...SETTINGS, HANDLER_TIMEOUT_MS: '9' })).toEqual([])
    const file = join(mkdtempSync(join(tmpdir(), 'holdfast-')), 'token')
    onTestFinished(() => rmSync(dirname(file), { recursive: true }))
    writeFileSync(file, SETTINGS.OPS_TOKEN)
    expect(warningsFor('OPS_TOKENS', { SOURCES: 'ai', SOURCE_AI_SECRET: 'a', OPS_TOKEN_FILE: file })).toEqual([])
  })
})

/** Names that shells, Docker, Kubernetes, CI services and other programs set, also some that resemble ours. */
const FOREIGN = `
  PATH HOME HOSTNAME HOSTTYPE USER LOGNAME SHELL SHLVL TERM PWD OLDPWD LANG LC_ALL TZ MAIL EDITOR PAGER DISPLAY COLORTERM NO_COLOR
  NODE_ENV NODE_OPTIONS NODE_PATH NODE_VERSION YARN_VERSION NODE_EXTRA_CA_CERTS NODE_COMPILE_CACHE UV_THREADPOOL_SIZE
  npm_config_cache npm_lifecycle_event npm_package_name INIT_CWD
  PGHOST PGPORT PGUSER PGPASSWORD PGDATABASE PGSSLMODE POSTGRES_USER POSTGRES_PASSWORD POSTGRES_DB POSTGRES_HOST
  DB_HOST DB_PORT DB_URL DB_USER DATABASE_HOST DATABASE_NAME DATABASE_USER DATABASE_PASSWORD DATABASE_PORT TEST_DATABASE_URL
  REDIS_URL REDIS_HOST REDIS_PORT AMQP_URL MYSQL_HOST SMTP_HOST SMTP_PORT MONGO_URL
  APP_HOST APP_PORT APP_URL APP_ENV APP_KEY HTTP_HOST HTTP_PORT HTTPS_PORT HTTP_PROXY HTTPS_PROXY NO_PROXY ALL_PROXY
  API_KEY API_URL API_TOKEN API_HOST API_PORT BASE_URL PUBLIC_KEY PUBLIC_DIR PUBLIC_PATH STRIPE_SECRET_KEY STRIPE_WEBHOOK_SECRET
  OPENAI_API_KEY GITHUB_TOKEN GITHUB_ACTIONS GITHUB_REPOSITORY CI BUILD_ID JOB_NAME LOG_FILE LOG_DIR LOG_PATH DEBUG
  AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_REGION AWS_ROLE_ARN GOOGLE_APPLICATION_CREDENTIALS AZURE_CLIENT_ID ROLE_ARN
  KUBERNETES_SERVICE_HOST KUBERNETES_SERVICE_PORT KUBERNETES_SERVICE_PORT_HTTPS KUBERNETES_PORT KUBERNETES_PORT_443_TCP
  KUBERNETES_PORT_443_TCP_PROTO KUBERNETES_PORT_443_TCP_ADDR HOLDFAST_SERVICE_HOST HOLDFAST_PORT HOLDFAST_PORT_8080_TCP
  SOURCE_SERVICE_HOST SOURCE_SERVICE_PORT SOURCE_PORT SOURCE_PORT_8080_TCP SOURCE_PORT_8080_TCP_ADDR SOURCE_STRIPE_SERVICE_HOST
  SOURCE_STRIPE_PORT SOURCE_STRIPE_PORT_80_TCP SOURCE_DATE_EPOCH SOURCE_COMMIT SOURCE_BRANCH SOURCE_VERSION SOURCE_DIR SOURCE_FILE
  SOURCE_PATH SOURCE_REPOSITORY_URL SOURCES_LIST TASK_ID TASK_NAME HANDLER HANDLER_NAME _HANDLER AWS_LAMBDA_FUNCTION_NAME
  HEROKU_APP_NAME DYNO FLY_APP_NAME RAILWAY_ENVIRONMENT RENDER VERCEL SENTRY_DSN OTEL_EXPORTER_OTLP_ENDPOINT OTEL_SERVICE_NAME
  NOTIFY_SOCKET INVOCATION_ID JOURNAL_STREAM MANAGERPID CREDENTIALS_DIRECTORY LISTEN_FDS MEMORY_PRESSURE_WATCH XDG_RUNTIME_DIR
  RETRY RETRIES MAX_RETRIES RETRY_COUNT TIMEOUT TIMEOUT_MS POLL_MS PORTS HOSTS POST HOSTED PROXY TRUST SECRET TOKEN
`.split(/\s+/)

test.each(FOREIGN.filter((name) => name !== ''))('the variable %s of another program is not warned of', (name) => {
  expect(warningsFor(name)).toEqual([])
})

test('no setting of .env.example is warned of', () => {
  const example = readFileSync(join(import.meta.dirname, '../../.env.example'), 'utf8')
  const names = [...example.matchAll(/^#?([A-Z][A-Z\d_]*)=/gm)].map(([, name]) => String(name))
  expect(names.length).toBeGreaterThan(30)
  const source = { SOURCES: 'ai', SOURCE_AI_SECRET: 'whsec_1' }
  const environment = { ...Object.fromEntries(names.map((name) => [`${name}_FILE`, ''])), ...source }
  expect(readConfig(environment).warnings).toEqual([])
})
