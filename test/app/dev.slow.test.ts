import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { expect, onTestFinished, test } from 'vitest'
import { AI_SECRET } from '../support/ai-source.ts'
import { eventually } from '../support/eventually.ts'
import { startSenders } from '../support/senders.ts'
import { handlersIn, mainFile, type Service, startService, temporaryDirectory } from '../support/service.ts'

/** `holdfast dev` with handlers that write `<version> <uid>` for each event. */
async function startProject() {
  const directory = temporaryDirectory()
  const handlers = handlersIn(directory, {})
  const written = join(directory, 'written')
  const write = (file: string, text: string): void => {
    mkdirSync(join(handlers, file, '..'), { recursive: true })
    writeFileSync(join(handlers, file), text)
  }
  /** Saves as most editors do: a new file takes the place of the old one. */
  const replace = (file: string, text: string): void => {
    write(`.${file}.swp`, text)
    renameSync(join(handlers, `.${file}.swp`), join(handlers, file))
  }
  const module = (version: string, name = 'orders') => `
    import { appendFileSync } from 'node:fs'
    import { suffix } from './lib/suffix.ts'
    export default (router: import('holdfast').Router) => {
      router.on('*', { name: '${name}' }, (event) => {
        appendFileSync(${JSON.stringify(written)}, \`${version}\${suffix} \${event.uid}\\n\`)
      })
    }`
  write('lib/suffix.ts', `export const suffix = ''`)
  write('orders.ts', module('0'))
  const environment = { HANDLERS_DIR: handlers, LOG_FORMAT: 'json' }
  const service = await startService(environment, directory, [process.execPath], 'dev')
  const lines = (): readonly (readonly string[])[] =>
    existsSync(written)
      ? readFileSync(written, 'utf8')
          .trimEnd()
          .split('\n')
          .map((line) => line.split(' '))
      : []
  const countOf = (version: string): number => lines().filter(([each]) => each === version).length
  /** Makes an edit; gives how long it took until a handler of this version had run. */
  const live = async (version: string, edit: () => void): Promise<number> => {
    const startedMs = performance.now()
    edit()
    while (countOf(version) === 0) {
      if (performance.now() - startedMs > 20_000) throw new Error(`${version} is not live: ${tail(service)}`)
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    return Math.round(performance.now() - startedMs)
  }
  return { service, handlers, write, replace, module, lines, countOf, live }
}

const tail = ({ logs }: Service): string =>
  logs
    .slice(-5)
    .map((line) => JSON.stringify(line))
    .join('\n')

const BROKEN = [
  ['a syntax error', 'export default (router => {', /orders\.ts:1:\d+: /],
  ['an error while it loads', `\n\nthrow new Error('no settings')`, /orders\.ts:3:\d+: .*no settings/],
  ['an import that is not there', `import './lib/gone.ts'\nexport default () => {}`, /orders\.ts:1:\d+: .*gone\.ts/],
  ['an export that is no function', '\nexport default 7', /orders\.ts:\d+:\d+: it does not default-export a function/],
] as const

test('holdfast dev loses no event under load over ten edits, each of which is live within a second, and five broken ones', async () => {
  const { service, handlers, write, replace, module, lines, countOf, live } = await startProject()
  const senders = startSenders(() => [service.publicUrl], { count: 4, types: ['acme.thing'], pauseMs: 30 })
  await live('0', () => {})

  const took: number[] = []
  for (const edit of ['1', '2', '3', '4']) took.push(await live(edit, () => write('orders.ts', module(edit))))
  for (const edit of ['5', '6', '7']) took.push(await live(edit, () => replace('orders.ts', module(edit))))
  took.push(await live('7!', () => write('lib/suffix.ts', `export const suffix = '!'`)))
  took.push(await live('more!', () => write('more.ts', module('more', 'more'))))
  took.push(
    await live('8!', () => {
      rmSync(join(handlers, 'more.ts'))
      write('orders.ts', module('8'))
    }),
  )

  const expectOldStays = async (place: RegExp): Promise<void> => {
    await service.logged(({ level, msg }) => level === 50 && place.test(String(msg)))
    const before = countOf('8!')
    await eventually(
      async () => countOf('8!'),
      (count) => count > before + 5,
    )
  }
  for (const [, text, place] of BROKEN) {
    write('orders.ts', text)
    await expectOldStays(place)
  }
  write('orders.ts', module('8'))
  write('twin.ts', module('twin'))
  await expectOldStays(/twin\.ts:\d+:\d+: .*orders/)
  rmSync(join(handlers, 'twin.ts'))
  took.push(await live('9!', () => write('orders.ts', module('9'))))

  await senders.stop()
  const accepted = [...senders.ledger.values()]
  const handled = (): readonly string[] => lines().flatMap(([version, uid = '']) => (version === 'more!' ? [] : [uid]))
  await eventually(
    async () => accepted.filter((uid) => !handled().includes(uid)),
    (missing) => missing.length === 0,
  )
  const seconds = (senders.answers.at(-1)?.answeredAtMs ?? 0) - (senders.answers[0]?.sentAtMs ?? 0)
  console.log(`${senders.answers.length} events in ${Math.round(seconds / 1000)} s; live after ${took.join(', ')} ms`)
  expect(senders.answers.filter(({ status }) => status !== 200)).toEqual([])
  expect(senders.contradictions).toEqual([])
  expect(handled().toSorted()).toEqual(accepted.toSorted())
  expect(countOf('twin!')).toBe(0)
  // A second on a machine that has nothing else to do.
  expect(Math.max(...took)).toBeLessThan(4_000)
  expect(await service.stop()).toBe(0)
})

test('fifty reloads leave no process, thread or open file behind, and the memory does not grow', async () => {
  const { service, write, module, live } = await startProject()
  const senders = startSenders(() => [service.publicUrl], { count: 1, types: ['acme.thing'], pauseMs: 20 })
  const pid = service.child.pid ?? 0
  const own = () => ({
    threads: readdirSync(`/proc/${pid}/task`).length,
    children: readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').length,
    files: readdirSync(`/proc/${pid}/fd`).filter((fd) => isOpen(pid, fd)).length,
    mib: Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024,
  })
  const reload = async (from: number, to: number): Promise<void> => {
    for (let nth = from; nth < to; nth++) await live(`r${nth}`, () => write('orders.ts', module(`r${nth}`)))
  }
  await reload(0, 10)
  const before = own()
  await reload(10, 60)
  const after = await eventually(
    async () => own(),
    ({ threads, children, files }) => threads <= before.threads && children <= before.children && files <= before.files,
    20_000,
  )
  console.log(before, after)
  await senders.stop()
  // Memory that is free but not given back; reload.slow.test.ts counts what is kept.
  expect(after.mib).toBeLessThan(before.mib + 100)
  expect(await service.stop()).toBe(0)
})

test('the command dev ends with exit code 78 if its configuration is broken, and with 0 on a signal while it waits for a repaired module', async () => {
  const directory = temporaryDirectory()
  const HANDLERS_DIR = handlersIn(directory, { 'it.js': 'export default 3' })
  const start = (PORT: string) => {
    const settings = { PORT, OPS_PORT: '0', SOURCES: 'ai', SOURCE_AI_SECRET: AI_SECRET, LOG_FORMAT: 'json' }
    const child = spawn(process.execPath, [mainFile, 'dev'], { cwd: directory, env: { ...settings, HANDLERS_DIR } })
    onTestFinished(() => void child.kill('SIGKILL'))
    return child
  }
  expect(await once(start('x'), 'exit')).toEqual([78, null])

  const child = start('0')
  const lines = createInterface(child.stdout)
  await once(
    lines.on('line', (line) => line.includes('waiting for a change') && lines.emit('waits')),
    'waits',
  )
  child.kill('SIGINT')
  expect(await once(child, 'exit')).toEqual([0, null])
})

function isOpen(pid: number, fd: string): boolean {
  try {
    return readlinkSync(`/proc/${pid}/fd/${fd}`) !== ''
  } catch {
    return false
  }
}
