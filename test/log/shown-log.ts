import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { stripVTControlCharacters } from 'node:util'
import { expect, onTestFinished } from 'vitest'
import { AI_SECRET } from '../support/ai-source.ts'
import { post, signedEvent } from '../support/events.ts'
import { eventually } from '../support/eventually.ts'
import { handlersIn, mainFile, temporaryDirectory } from '../support/service.ts'

const HANDLER = `export default (router) => router.on('acme.thing', (event, { log }) => {
  log.info({ secret: ${JSON.stringify(AI_SECRET)}, note: 'two words' }, 'seen')
  console.log('said')
  const error = new Error('no luck')
  log.error({ err: error }, 'failed')
})`

interface Run {
  readonly child: ChildProcess
  readonly output: () => string
  /** Resolves with the output once it holds this text. */
  readonly shows: (text: string) => Promise<string>
}

/** Runs the service with this command line around it, so that the test can choose what its stdout is. */
export function start(
  environment: Readonly<Record<string, string>>,
  around: (command: string) => readonly string[],
): Run {
  const directory = temporaryDirectory()
  const command = `echo $$ > ${directory}/pid; exec ${process.execPath} ${mainFile} serve`
  const [program = '', ...args] = around(command)
  const child = spawn(program, args, {
    cwd: directory,
    env: {
      PATH: process.env.PATH,
      NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE,
      SHELL: '/bin/sh',
      TERM: 'xterm',
      HOST: '127.0.0.1',
      PORT: '0',
      OPS_PORT: '0',
      SOURCES: 'ai',
      HANDLER_PROCESSES: '1',
      SOURCE_AI_SECRET: AI_SECRET,
      HANDLERS_DIR: handlersIn(directory, { 'own.js': HANDLER }),
      ...environment,
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let text = ''
  child.stdout.on('data', (chunk: Buffer) => {
    text += chunk.toString()
  })
  const exited = once(child, 'close')
  const stop = (): boolean => process.kill(Number(readFileSync(join(directory, 'pid'), 'utf8')), 'SIGTERM')
  onTestFinished(async () => {
    if (child.exitCode === null) stop()
    await exited
  })
  const shows = (wanted: string): Promise<string> =>
    eventually(
      async () => text,
      (output) => output.includes(wanted),
    )
  return { child, output: () => text, shows }
}

export const ofPipe = (command: string): readonly string[] => ['/bin/sh', '-c', command]
export const ofTerminal = (command: string): readonly string[] => ['script', '-qec', command, '/dev/null']

/** Serves one event; gives the output up to the line of the error, with the frames of its stack. */
export async function serveOne({ shows }: Run): Promise<string> {
  const serving = stripVTControlCharacters(await shows('holdfast is serving'))
  const [, url = ''] = /(?:public=|"public":")(http:[^\s"]+)/.exec(serving) ?? []
  expect((await post(url, signedEvent('acme.thing', {}))).status).toBe(200)
  await shows('said')
  return shows('own.js:')
}
