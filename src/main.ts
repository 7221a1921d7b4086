#!/usr/bin/env node
import type { Holdfast } from './app/app.ts'
import { readConfig } from './app/config.ts'
import { completed, environmentReader, readClientEnvironment, readEnvironment } from './app/environment.ts'
import { HangUp } from './app/hang-up.ts'
import { type Reread, rereadConfig } from './app/reread.ts'
import { ConfigurationError, EXIT_CONFIGURATION, messageOf } from './domain/errors.ts'
import type { BackupOutcome, BackupRequest } from './domain/store-backup.ts'
import type { MoveOutcome, MoveRequest } from './domain/store-move.ts'
import type { Log } from './log/log.ts'

/** From the loss of the store to the end of the process: open requests get their 503 meanwhile. */
const LAST_ANSWERS_MS = 200

/** How long a process that gets a signal during its start waits for the start to complete. */
const MAX_START_MS = 5_000

const stopping = new AbortController()

// Only what runs is imported: the commands would cost the service memory, and the service would cost a command half a second.
try {
  await run(process.argv.slice(2))
} catch (error) {
  if (!(error instanceof ConfigurationError)) throw error
  process.stderr.write(`${error.message}\n`)
  process.exit(EXIT_CONFIGURATION)
}

async function run([command = 'serve', ...rest]: readonly string[]): Promise<void> {
  if ((command === 'serve' || command === 'dev') && rest.length === 0) await serve(command)
  else if (command === 'check' && rest.every((option) => option === '--json'))
    process.exit(await check(rest.length > 0))
  else {
    const io = {
      out: process.stdout,
      err: process.stderr,
      in: process.stdin,
      interactive: process.stdin.isTTY === true && process.stderr.isTTY === true,
      hasColours: process.stdout.isTTY === true && process.stdout.hasColors(),
      endSignal,
      read: () => readConfig(readClientEnvironment()),
      move,
      backUp,
    }
    const { runCli } = await import('./cli/cli.ts')
    process.exitCode = await runCli([command, ...rest], io)
  }
}

function endSignal(): AbortSignal {
  const ending = new AbortController()
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.once(signal, () => ending.abort())
  return ending.signal
}

/** Moves a store. The first signal ends the move after the current batch, the second at once. */
async function move(request: MoveRequest): Promise<MoveOutcome> {
  const { moveStore } = await import('./storage/transfer/move.ts')
  const onLog = (_level: string, message: string): boolean => process.stderr.write(`${message}\n`)
  return moveStore(request, { signal: endSignal(), onLog, clock: Date.now })
}

/** Makes a backup. The first signal ends it. */
async function backUp(request: BackupRequest): Promise<BackupOutcome> {
  const transfer = await import('./storage/transfer/backup.ts')
  const onLog = (_level: string, message: string): boolean => process.stderr.write(`${message}\n`)
  return transfer.backUp(request, { signal: endSignal(), onLog })
}

async function serve(command: 'serve' | 'dev'): Promise<void> {
  const hangUp = new HangUp()
  const current = environmentReader()
  const environment = () => (command === 'dev' ? completed(current(), { LOG_FORMAT: 'pretty' }) : current())
  const read = readConfig(environment())
  const { startHoldfast } = await import('./app/app.ts')
  const { startDev } = await import('./app/dev.ts')
  const { createLog } = await import('./log/log.ts')
  const { lineFormat } = await import('./log/pretty.ts')
  const { secretsIn } = await import('./log/redact.ts')
  const { logLevel, logStyle } = read.config
  const log = createLog(logLevel, secretsIn(read.config), await lineFormat(logStyle))
  process.on('uncaughtException', (error) => fail(log, error, 'uncaught exception'))
  process.on('unhandledRejection', (error) => fail(log, error, 'unhandled rejection'))
  const reread: Reread = (...before) => rereadConfig(...before, environment)
  const starting =
    command === 'dev' ? startDev(read, log, stopping.signal, reread) : startHoldfast(read, log, {}, reread)
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => void shutDown(signal, starting, log, read.config.shutdownGraceMs))
  }
  hangUp.handle((isOfTerminal) => {
    if (isOfTerminal) void shutDown('SIGHUP', starting, log, read.config.shutdownGraceMs)
    else
      void starting.then(
        ({ reloadConfig }) => reloadConfig('signal'),
        () => {},
      )
  })
  try {
    const holdfast = await starting
    const { publicUrl, opsUrl, handlers } = holdfast
    const sources = read.config.sources.map(({ name }) => `${publicUrl}/v1/webhooks/${name}`)
    const urls = { public: publicUrl, ops: opsUrl, console: `${opsUrl}/console` }
    const about = { ...urls, sources, ...(command === 'dev' && { handlers: handlers() }) }
    log.log.info(about, 'holdfast is serving')
    void holdfast.lost.then((error) => setTimeout(() => fail(log, error, 'the store is lost'), LAST_ANSWERS_MS))
  } catch (error) {
    log.flush()
    if (error === stopping.signal.reason) process.exit(0)
    if (!(error instanceof ConfigurationError)) fail(log, error, 'holdfast could not start')
    process.stderr.write(`holdfast cannot start: ${messageOf(error)}\n`)
    process.exit(EXIT_CONFIGURATION)
  }
}

async function check(json: boolean): Promise<number> {
  const { checkHoldfast } = await import('./app/app.ts')
  const { createLog } = await import('./log/log.ts')
  const { faults, warnings, sources, handlers } = await checkHoldfast(
    readConfig(readEnvironment()),
    createLog('silent'),
  )
  const code = faults.length === 0 ? 0 : EXIT_CONFIGURATION
  if (json) {
    process.stdout.write(`${JSON.stringify({ ok: code === 0, faults, warnings })}\n`)
    return code
  }
  for (const warning of warnings) process.stderr.write(`warning: ${warning}\n`)
  if (code !== 0) process.stderr.write(`${new ConfigurationError(faults).message}\n`)
  else process.stdout.write(`ok: ${sources.size} source(s), ${handlers.length} handler(s)\n`)
  return code
}

async function shutDown(
  signal: string,
  starting: Promise<Holdfast>,
  { log, flush }: Log,
  graceMs: number,
): Promise<void> {
  if (stopping.signal.aborted) return
  stopping.abort()
  log.info({ signal }, 'shutting down')
  setTimeout(() => {
    log.error('the grace period is over')
    flush()
    process.exit(1)
  }, graceMs).unref()
  // `serve` ends the process if the start fails. A start that still waits, for example for a database, can be cut off:
  // it has received nothing.
  const holdfast = await Promise.race([starting.catch(() => undefined), later(MAX_START_MS)])
  if (holdfast === undefined) return
  if (holdfast !== 'later') await holdfast.stop()
  log.info('stopped')
  flush()
  process.exit(0)
}

function later(ms: number): Promise<'later'> {
  return new Promise((resolve) => setTimeout(() => resolve('later'), ms).unref())
}

function fail({ log, flush }: Log, error: unknown, message: string): never {
  log.fatal({ err: error }, message)
  flush()
  process.exit(1)
}
