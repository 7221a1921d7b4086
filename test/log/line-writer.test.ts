import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, existsSync, openSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { AI_SECRET } from '../support/ai-source.ts'
import { eventually } from '../support/eventually.ts'
import { handlersIn, mainFile, temporaryDirectory } from '../support/service.ts'

const logFile = join(import.meta.dirname, '../../src/log/log.ts')

/** Runs a script that logs; `reader`: the shell command that stdout is piped into. Gives its exit code. */
async function exitCodeOf(script: string, reader: string): Promise<string> {
  const file = join(temporaryDirectory(), 'script.mjs')
  writeFileSync(file, `const { log, flush, dropped } = (await import('${logFile}')).createLog('info')\n${script}`)
  const command = `{ ${process.execPath} ${file}; echo $? >&2; } | ${reader}`
  const child = spawn('/bin/sh', ['-c', command], { detached: true, stdio: ['ignore', 'ignore', 'pipe'] })
  const ended = once(child, 'close')
  onTestFinished(async () => {
    process.kill(-(child.pid ?? 0), 'SIGKILL')
    await ended
  })
  const [code] = await once(child.stderr, 'data')
  return String(code).trim()
}

describe('a process whose log is not accepted ends all the same', () => {
  test.for(['serve', 'dev'])('%s, when the disk of the log is full', async (command) => {
    const directory = temporaryDirectory()
    const handler = `import { writeFileSync } from 'node:fs'
      export default () => writeFileSync(${JSON.stringify(join(directory, 'loaded'))}, '')`
    const fullDisk = openSync('/dev/full', 'w')
    const child = spawn(process.execPath, [mainFile, command], {
      cwd: directory,
      stdio: ['ignore', fullDisk, 'inherit'],
      env: {
        NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE,
        HOST: '127.0.0.1',
        PORT: '0',
        OPS_PORT: '0',
        SOURCES: 'ai',
        SOURCE_AI_SECRET: AI_SECRET,
        HANDLERS_DIR: handlersIn(directory, { 'it.js': handler }),
        HANDLER_PROCESSES: '1',
      },
    })
    closeSync(fullDisk)
    onTestFinished(() => void child.kill('SIGKILL'))
    await eventually(async () => existsSync(join(directory, 'loaded')), Boolean)
    child.kill('SIGINT')
    expect(await once(child, 'exit')).toEqual([0, null])
  })

  test('when the reader of the log is gone before its last line', async () => {
    const script = `setTimeout(() => { log.info('late'); flush(); process.exit(3) }, 300)`
    expect(await exitCodeOf(script, 'true')).toBe('3')
  })

  test('when the reader of the log does not read, and counts the lines that it drops', async () => {
    const script = `for (let i = 0; i < 2_000; i++) log.info({ text: 'x'.repeat(100) }, 'much')
      setTimeout(() => { flush(); process.exit(dropped() > 0 ? 3 : 0) }, 300)`
    expect(await exitCodeOf(script, 'sleep 100')).toBe('3')
  })
})
