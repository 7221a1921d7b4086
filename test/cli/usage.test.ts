import { readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { expect, test } from 'vitest'
import { EVENT_STATUSES, ORIGINS } from '../../src/domain/event.ts'
import { TASK_STATUSES } from '../../src/domain/task.ts'
import { AI_SECRET } from '../support/ai-source.ts'
import { run } from './run.ts'

/** A port of this machine on which no process listens. */
async function freePort(): Promise<string> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  return typeof address === 'object' && address !== null ? String(address.port) : ''
}

test('help lists every command of this version', async () => {
  const { code, out, err } = await run(['help'])
  expect(code).toBe(0)
  expect(err).toBe('')
  for (const command of [
    'init',
    'serve',
    'check',
    'send',
    'events list',
    'events show',
    'events replay',
    'dead list',
    'dead replay',
    'tasks submit',
    'tasks track',
    'tasks list',
    'tasks show',
    'tasks wait',
    'tasks poll',
    'tasks cancel',
    'registrations list',
    'registrations ensure',
    'registrations create',
    'registrations update',
    'registrations delete',
    'migrate',
  ])
    expect(out).toMatch(new RegExp(`^ {2}${command}\\b`, 'm'))
  expect(await run(['--help'])).toEqual(await run(['help']))
})

test('the help of a command lists its own options', async () => {
  const asked = await run(['help', 'events', 'list'])
  expect(asked.code).toBe(0)
  expect(asked.out).toMatch(/^Usage: holdfast events list/)
  expect(asked.out).toContain('--since <time>')
  expect(await run(['events', 'list', '--help'])).toEqual(asked)
})

test.each([
  ['events list', '--status <status>', EVENT_STATUSES],
  ['events list', '--origin <origin>', ORIGINS],
  ['tasks list', '--status <status>', TASK_STATUSES],
])('the help of %s names every value that %s takes', async (name, option, words) => {
  const { out } = await run(['help', ...name.split(' ')])
  const line = out.split('\n').find((each) => each.includes(option))
  expect(line?.split(option)[1]?.trim()).toBe(words.join(', '))
})

test('help exit-codes lists the codes that docs/operating.md lists', async () => {
  const { code, out } = await run(['help', 'exit-codes'])
  const page = readFileSync(new URL('../../docs/operating.md', import.meta.url), 'utf8')
  const documented = [...page.matchAll(/^\| (\d+) \| ([^|]+) \|$/gm)].map(([, each, meaning]) => [each, meaning])
  const listed = [...out.matchAll(/^ {2}(\d+) +(.+)$/gm)].map(([, each, meaning]) => [each, meaning])
  expect(code).toBe(0)
  expect(listed.length).toBeGreaterThan(5)
  expect(documented.map(([each]) => each)).toEqual(listed.map(([each]) => each))
})

test('the help of a group lists its commands', async () => {
  const { code, out } = await run(['help', 'dead'])
  expect(code).toBe(0)
  expect(out).toContain('holdfast dead list')
  expect(out).toContain('holdfast dead replay')
  expect(out).not.toContain('events')
})

test('the printed version is that of the package', async () => {
  expect(await run(['--version'])).toMatchObject({ code: 0, out: expect.stringMatching(/^holdfast \d+\.\d+\.\d+\n$/) })
})

test.each([
  [['emigrate'], 'there is no command emigrate'],
  [['migrate'], '--from is missing'],
  [['migrate', '--from', 'data/holdfast.db'], '--from is file:'],
  [['migrate', '--from', 'postgres://a/b'], '--from is file:'],
  [['migrate', '--from', 'file:a'], '--to is missing'],
  [['migrate', '--from', 'file:a', '--to', 'file:b'], '--to is a postgres:// URL'],
  [['migrate', '--from', 'file:a', '--to', 'postgres://'], '--to'],
  [['tasks'], 'Usage:'],
  [['tasks', 'submit', 'ai'], '--data is missing'],
  [['tasks', 'track', 'ai'], '<task_id> is missing'],
  [['tasks', 'track', 'ai', 'x', '--max-wait', 'soon'], '--max-wait is a while'],
  [['tasks', 'track', 'ai', 'x', '--metadata', '[]'], '--metadata is a JSON object'],
  [['tasks', 'wait', 'ai', 'x', '--timeout', '1.5h'], '--timeout is a while'],
  [['events'], 'Usage:'],
  [['events', 'drop'], 'there is no command events drop'],
  [['evnts', 'list'], 'there is no command evnts; did you mean events list?'],
  [['events', 'lst'], 'there is no command events lst; did you mean events list?'],
  [['list', 'events'], 'there is no command list; did you mean events list?'],
  [['tsks'], 'there is no command tsks; did you mean tasks?'],
  [['events', 'show'], '<uid> is missing'],
  [['events', 'show', ''], '<uid> is empty'],
  [['events', 'replay', ''], '<uid> is empty'],
  [['dead', 'replay', ''], '<uid> is empty'],
  [['replays', 'cancel', ' '], '<id> is empty'],
  [['tasks', 'cancel', 'ai', ''], '<task_id> is empty'],
  [['events', 'show', 'a', 'b'], 'unexpected b'],
  [['events', 'show', 'a', '--body', '--json'], 'exclude each other'],
  [['events', 'list', '--colour'], 'there is no option --colour\n'],
  [['events', 'list', '--statsu', 'accepted'], 'there is no option --statsu; did you mean --status?'],
  [['events', 'list', '--statsu=accepted'], 'there is no option --statsu; did you mean --status?'],
  [['events', 'list', '--source'], '--source needs a value'],
  [['events', 'list', '--json=1'], '--json takes no value'],
  [['events', 'list', '-x'], 'there is no option -x'],
  [['events', 'list', '--limit', '0'], '--limit is a whole number'],
  [['events', 'list', '--since', 'yesterday'], '--since is neither'],
  [['dead', 'replay'], '<uid> is missing'],
  [['dead', 'replay', 'a', '--all'], 'unexpected a'],
  [['dead', 'replay', 'a', '--source', 'ai'], '--source goes with --all'],
  [['dead', 'replay', 'a', '--yes'], '--yes goes with --all'],
  [['dead', 'replay', 'a', '--dry-run'], '--dry-run goes with --all'],
  [['dead', 'replay', '--all', '--dry-run', '--yes'], '--yes and --dry-run exclude each other'],
  [['dead', 'list', '--limit', '-1'], '--limit'],
  [['events', 'list', '--status', 'acepted'], 'did you mean accepted?'],
  [['events', 'list', '--status', 'lost'], '--status is one of accepted, unhandled, quarantined, conflict, superseded'],
  [['events', 'list', '--origin', 'post'], '--origin is one of webhook, poll, cli'],
  [['events', 'list', '--since', '1'], '--since is neither'],
  [['events', 'list', '--until', '2026-02-30'], '--until is neither'],
  [['events', 'list', '--until', '2026-11-26T25:00:00Z'], '--until is neither'],
  [['events', 'list', '--since', '5m', '--until', '10m'], ', after --until, which is '],
  [
    ['dead', 'list', '--since', '2026-11-26', '--until', '2026-11-25'],
    '--since is 2026-11-26T00:00:00.000Z, after --until',
  ],
  [['audit', '--since', '1m', '--until', '1h'], '--since is '],
  [['replays', 'create', '--since', '1m', '--until', '1h'], '--since is '],
  [['tasks', 'list', '--status', 'done'], '--status is one of submitting, pending, completed, failed'],
  [['send', 'ai'], '<type> is missing'],
  [['send', 'ai', 'x', '--count', '1e3'], '--count is a whole number'],
  [['send', 'ai', 'x', '--url', 'ftp://example.com'], '--url is an http(s) URL'],
  [['serve', '--port', '1'], 'unexpected --port 1'],
])('the command %j is not understood: it exits with 2, the reason and a line of usage', async (argv, reason) => {
  const { code, out, err } = await run(argv)
  expect(code).toBe(2)
  expect(out).toBe('')
  expect(err).toContain(reason)
  expect(err).toMatch(/^Usage:/m)
  if (argv.length > 1) expect(err.trimEnd().split('\n')).toHaveLength(2)
})

test.each([
  [['tasks', 'submit', 'ai', '--data', '/nowhere/request.json'], 'ENOENT'],
  [['send', 'ai', 'x', '--data', '/nowhere/data.json'], 'ENOENT'],
  [['send', 'ai', 'x', '--data', '-'], 'the standard input is not JSON'],
])('the command %j has no valid data: it exits with 2 and one line', async (argv, reason) => {
  const { code, out, err } = await run(argv, { SOURCES: 'ai', SOURCE_AI_SECRET: AI_SECRET }, 'no JSON')
  expect({ code, out }).toEqual({ code: 2, out: '' })
  expect(err).toContain(reason)
  expect(err.trim().split('\n')).toHaveLength(1)
})

test.each([
  [['events', 'list'], { OPS_PORT: '80a81' }, 'OPS_PORT is 80a81'],
  [['tasks', 'show', 'ai', 'a'], { OPS_TOKEN_FILE: '/nowhere/token' }, 'OPS_TOKEN_FILE cannot be read'],
  [['registrations', 'list'], { OPS_TOKEN: 'a token' }, 'OPS_TOKEN holds a character'],
  [['send', 'ai', 'x'], { PORT: '-1' }, 'PORT is -1'],
])('the command %j with the configuration %j exits with 78 and sends no request', async (argv, environment, reason) => {
  const { code, out, err } = await run(argv, environment)
  expect({ code, out }).toEqual({ code: 78, out: '' })
  expect(err).toContain(reason)
})

test('faults of the configuration that a command reads are told one a line, with exit code 78', async () => {
  const { code, err } = await run(['status'], { OPS_PORT: 'abc', OPS_HOST: '', METRICS_OPEN: 'maybe' })
  expect(code).toBe(78)
  expect(err).toBe('holdfast status: 1 configuration fault:\n  - OPS_PORT is abc, not a whole number from 0 to 65535\n')
})

test('a configuration fault that only the service reads keeps no command from sending its request', async () => {
  const port = await freePort()
  const { code, err } = await run(['events', 'list'], { OPS_PORT: port, SOURCE_AI_SECRET: 'short', ROLE: 'none' })
  expect(code).toBe(69)
  expect(err).toContain('is it running?')
})

test.each([
  [['events', 'list']],
  [['events', 'show', 'a']],
  [['events', 'replay', 'a']],
  [['dead', 'list', '--json']],
  [['dead', 'replay', 'a']],
  [['dead', 'replay', '--all']],
  [['dead', 'replay', '--all', '--yes', '--handler', 'a']],
  [['send', 'ai', 'x']],
  [['tasks', 'track', 'ai', 'a']],
  [['tasks', 'list']],
  [['tasks', 'show', 'ai', 'a']],
  [['tasks', 'wait', 'ai', 'a', '--timeout', '1s']],
  [['tasks', 'poll', 'ai', 'a']],
  [['tasks', 'cancel', 'ai', 'a']],
  [['registrations', 'list']],
  [['registrations', 'ensure', 'ai']],
  [['registrations', 'create', 'ai']],
  [['registrations', 'update', 'ai', 'a', '--disable']],
  [['registrations', 'delete', 'ai', 'a']],
])(
  'the command %j without a running service exits with 69, and one line says where it was looked for',
  async (argv) => {
    const port = await freePort()
    const { code, out, err } = await run(argv, {
      PORT: port,
      OPS_PORT: port,
      SOURCES: 'ai',
      SOURCE_AI_SECRET: AI_SECRET,
    })
    expect(code).toBe(69)
    expect(out).toBe('')
    expect(err).toMatch(/PORT set this address/)
    expect(err).toContain(`no answer from http://127.0.0.1:${port}: is it running?`)
    expect(err.trim().split('\n')).toHaveLength(1)
  },
)
