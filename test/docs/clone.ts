import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import { AI_SECRET } from '../support/ai-source.ts'
import { startFakeProvider } from '../support/fake-provider.ts'
import { API_KEY, openFakeRegistrations } from '../support/fake-registrations.ts'
import { handlersDirectory, shippedHandlers } from '../support/shipped-handlers.ts'
import { checkout, type Page, pages } from './pages.ts'

/** What a shell has said. */
export interface CommandResult {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

export type Line = Readonly<Record<string, unknown>>

/** A folder as a user's clone, with the modules of the documents in it, and a service that `npm start` has started there. */
export interface Clone {
  readonly directory: string
  readonly opsUrl: string
  /** Lines of the service's log. */
  readonly lines: readonly Line[]
  /** Runs a program of `node_modules/.bin`, or another, in the folder. */
  run(program: string, args: readonly string[], environment?: Readonly<Record<string, string>>): Promise<CommandResult>
  /** Runs the blocks of a page, one after the other in one shell. */
  runPage(page: Page, environment?: Readonly<Record<string, string>>): Promise<CommandResult>
  stopService(): Promise<void>
  close(): Promise<void>
}

const PATH = `${join(checkout, 'node_modules/.bin')}:${process.env.PATH}`

/** Files of the documents, by path; two blocks for one path have to agree. */
export function documentFiles(): ReadonlyMap<string, string> {
  const files = new Map<string, string>()
  for (const { file, text: content, page, line } of pages.flatMap(({ blocks }) => blocks)) {
    if (file === undefined) continue
    if ((files.get(file) ?? content) !== content) throw new Error(`${page}:${line}: another ${file} than elsewhere`)
    files.set(file, content)
  }
  return files
}

function makeClone(): string {
  const files = documentFiles()
  const directory = mkdtempSync(join(tmpdir(), 'holdfast-docs-'))
  for (const folder of ['src/handlers', 'providers', 'test', 'node_modules', 'secrets', 'answers'])
    mkdirSync(join(directory, folder), { recursive: true })
  for (const name of shippedHandlers) cpSync(join(handlersDirectory, name), join(directory, 'src/handlers', name))
  for (const [file, content] of files) writeFileSync(join(directory, file), content)
  symlinkSync(join(checkout, 'bin'), join(directory, 'bin'))
  for (const name of ['@types', '.cache', 'vitest'])
    symlinkSync(join(checkout, 'node_modules', name), join(directory, 'node_modules', name))
  const holdfast = join(directory, 'node_modules/holdfast')
  mkdirSync(holdfast)
  symlinkSync(join(checkout, 'src'), join(holdfast, 'src'))
  const exported = { '.': './src/index.ts', './testing': './src/testing.ts' }
  writeFileSync(join(holdfast, 'package.json'), JSON.stringify({ type: 'module', exports: exported }))
  const tsconfig = {
    extends: join(checkout, 'tsconfig.json'),
    compilerOptions: { paths: { pino: [join(checkout, 'node_modules/pino')] } },
    include: ['src/handlers', 'providers', 'test'],
  }
  writeFileSync(join(directory, 'tsconfig.json'), JSON.stringify(tsconfig))
  writeFileSync(join(directory, 'package.json'), '{"type":"module"}')
  writeFileSync(join(directory, 'request.json'), '{"data":{"prompt":"a lighthouse"}}')
  return directory
}

/** Providers' APIs for the sources of the documents, with what the pages ask them for. */
async function startProviders() {
  const [ai, stripe, github] = await Promise.all([
    startFakeProvider({ apiKey: API_KEY }),
    openFakeRegistrations('stripe'),
    openFakeRegistrations('github'),
  ])
  ai.finish(ai.create('task_123'), 'completed')
  ai.create('task_456')
  ai.registrations.byId.set('wh_1', { id: 'wh_1', url: 'https://hooks.example.com', events: ['*'], active: true })
  github.add({ id: '12345' })
  return {
    settings: {
      SOURCES: 'ai,stripe,github,acme',
      SOURCE_AI_SECRET: AI_SECRET,
      SOURCE_STRIPE_SECRET: AI_SECRET,
      SOURCE_GITHUB_SECRET: AI_SECRET,
      SOURCE_ACME_SECRET: AI_SECRET,
      SOURCE_AI_API_KEY: API_KEY,
      SOURCE_STRIPE_API_KEY: API_KEY,
      SOURCE_GITHUB_API_KEY: API_KEY,
      SOURCE_AI_API_URL: ai.url,
      SOURCE_STRIPE_API_URL: stripe.url,
      SOURCE_GITHUB_API_URL: github.url,
    },
    close: () => Promise.all([ai.close(), stripe.close(), github.close()]),
  }
}

export async function startClone(): Promise<Clone> {
  const directory = makeClone()
  const providers = await startProviders()
  const environment = {
    PATH,
    HOST: '127.0.0.1',
    PUBLIC_URL: 'https://hooks.example.com',
    ...providers.settings,
    HANDLERS_DIR: 'src/handlers',
    PROVIDERS_DIR: 'providers',
    ORDERS_SECRET: AI_SECRET,
    HANDLER_PROCESSES: '1',
    TASK_MAX_WAIT_MS: '0',
    POLL_INTERVAL_MS: '250',
    RETRY_BASE_MS: '1',
  }
  const commandServer = startCommandServer(directory)
  const service = startService(directory, environment)
  const [port = ''] = await firstLines(commandServer, () => true)
  const lines: Line[] = []
  const serving = await firstLines(service, (line) => {
    lines.push(JSON.parse(line) as Line)
    return lines.at(-1)?.msg === 'holdfast is serving'
  })
  const { public: publicUrl, ops: opsUrl } = JSON.parse(serving.at(-1) ?? '{}') as { public: string; ops: string }

  async function run(
    program: string,
    args: readonly string[],
    more: Readonly<Record<string, string>> = {},
  ): Promise<CommandResult> {
    const env = { ...environment, NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE, ...ports, ...more }
    const child = spawn(program, args, { cwd: directory, env, stdio: ['ignore', 'pipe', 'pipe'] })
    const [out, err] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')])
    return { code: child.exitCode, out, err }
  }
  const ports = { PORT: new URL(publicUrl).port, OPS_PORT: new URL(opsUrl).port }

  return {
    directory,
    opsUrl,
    lines,
    run,
    runPage(page, more = {}) {
      const script = join(directory, page.name.replaceAll('/', '-').replace(/md$/, 'sh'))
      writeFileSync(script, scriptOf(page).replaceAll('127.0.0.1:8081', new URL(opsUrl).host))
      return run('bash', ['-eu', '-o', 'pipefail', script], {
        BASH_ENV: join(import.meta.dirname, 'prelude.sh'),
        PAGE: page.name,
        NODE: process.execPath,
        MAIN_FILE: join(checkout, 'src/main.ts'),
        COMMANDS_PORT: port,
        ANSWERS: join(directory, 'answers'),
        ...more,
      })
    },
    stopService: () => end(service),
    async close() {
      await Promise.all([end(service), end(commandServer), providers.close()])
      rmSync(directory, { recursive: true, force: true })
    },
  }
}

function startCommandServer(directory: string): ChildProcess {
  return spawn(process.execPath, [join(import.meta.dirname, 'command-server.ts')], {
    cwd: directory,
    env: { PATH, NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
}

/** As `npm start` does. */
function startService(directory: string, environment: Readonly<Record<string, string | undefined>>): ChildProcess {
  const { scripts } = JSON.parse(readFileSync(join(checkout, 'package.json'), 'utf8')) as { scripts: { start: string } }
  return spawn('bash', ['-c', scripts.start], {
    cwd: directory,
    env: { ...environment, NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE, PORT: '0', OPS_PORT: '0' },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
}

/** The page's blocks that are run, each line at its line of the page, so that the shell names the right one. */
function scriptOf({ text: whole, blocks }: Page): string {
  const lines: string[] = Array.from({ length: whole.split('\n').length }, () => '')
  for (const { language, notRun, line, text: commands } of blocks) {
    if (language !== 'sh' || notRun !== undefined) continue
    const block = commands.split('\n')
    lines.splice(line - 1, block.length, ...block)
  }
  return `${lines.join('\n')}\n`
}

/** Whether the page has a block to run. */
export const hasCommands = ({ blocks }: Page): boolean =>
  blocks.some(({ language, notRun }) => language === 'sh' && notRun === undefined)

/** The lines of its standard output up to the first that is accepted; all later ones are given to `accept` too. */
function firstLines(child: ChildProcess, accept: (line: string) => boolean): Promise<string[]> {
  const lines: string[] = []
  return new Promise((resolve, reject) => {
    child.once('close', (code) => reject(new Error(`it has ended with ${code}: ${lines.join('\n')}`)))
    if (child.stdout === null) return reject(new Error('it has no standard output'))
    createInterface(child.stdout).on('line', (line) => {
      lines.push(line)
      if (accept(line)) resolve(lines)
    })
    return undefined
  })
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const closed = once(child, 'close')
  child.kill('SIGTERM')
  await closed
}
