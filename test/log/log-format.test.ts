import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { stripVTControlCharacters } from 'node:util'
import { describe, expect, onTestFinished, test } from 'vitest'
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
function start(environment: Readonly<Record<string, string>>, around: (command: string) => readonly string[]): Run {
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

const ofPipe = (command: string): readonly string[] => ['/bin/sh', '-c', command]
const ofTerminal = (command: string): readonly string[] => ['script', '-qec', command, '/dev/null']

/** Serves one event; gives the output up to the line of the error, with the frames of its stack. */
async function serveOne({ shows }: Run): Promise<string> {
  const serving = stripVTControlCharacters(await shows('holdfast is serving'))
  const [, url = ''] = /(?:public=|"public":")(http:[^\s"]+)/.exec(serving) ?? []
  expect((await post(url, signedEvent('acme.thing', {}))).status).toBe(200)
  await shows('said')
  return shows('own.js:')
}

describe('the log', () => {
  test('with LOG_FORMAT=pretty is text without colours in a pipe, of handlers too, without secrets and down to its last line', async () => {
    const run = start({ LOG_FORMAT: 'pretty' }, ofPipe)
    const output = await serveOne(run)
    expect(output).toMatch(/^\d\d:\d\d:\d\d\.\d{3} {2}INFO: holdfast is serving {2}public=http/m)
    expect(output).toMatch(
      / {2}INFO: seen {2}secret=\[redacted\] {2}note="two words" {2}handler=own:acme\.thing {2}source=ai {2}uid=\S+$/m,
    )
    expect(output).toMatch(/ {2}INFO: said {2}handler=own:acme\.thing/)
    expect(output).toMatch(/ERROR: failed .*\n {4}Error: no luck\n {8}at .*handlers\/own\.js:4:17\)$/m)
    run.child.kill('SIGTERM')
    await once(run.child, 'close')
    expect(run.output()).toMatch(/INFO: stopped\n$/)
    expect(run.output()).not.toContain('\u001b')
  })

  test('without settings is JSON in a pipe, and coloured text on a terminal', async () => {
    const inPipe = start({}, ofPipe)
    const onTerminal = start({}, ofTerminal)
    const json = await serveOne(inPipe)
    for (const line of json.trimEnd().split('\n')) expect(JSON.parse(line)).toHaveProperty('msg')
    const text = await serveOne(onTerminal)
    expect(text).toContain('\u001b[32mINFO\u001b[39m')
    expect(text).toContain('\u001b[31mERROR\u001b[39m')
    expect(text).toMatch(/seen.*\[redacted\]/)
    expect(text).not.toContain(AI_SECRET)
  })

  test('on a terminal has no colours with NO_COLOR, and is JSON with LOG_FORMAT=json', async () => {
    const plain = await serveOne(start({ NO_COLOR: '1' }, ofTerminal))
    expect(plain).toMatch(/ {2}INFO: seen/)
    expect(plain).not.toContain('\u001b')
    const json = await serveOne(start({ LOG_FORMAT: 'json' }, ofTerminal))
    expect(
      json
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line).msg),
    ).toContain('seen')
  })
})
