import { PassThrough } from 'node:stream'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { fields } from '../../src/cli/output.ts'
import { type Columns, count, main, spare, state, table, text, time, whole } from '../../src/cli/table.ts'
import { ago, span, timeIn, type View, viewOf } from '../../src/cli/view.ts'

interface Row {
  readonly at: string
  readonly uid: string
  readonly type: string
  readonly tries: number
  readonly state: string
  readonly error: string | null
}

const columns: Columns<Row> = [
  time('AT', ({ at }) => at),
  whole('UID', ({ uid }) => uid),
  text('TYPE', ({ type }) => type),
  count('TRIES', ({ tries }) => tries),
  state('STATE', (row) => row.state),
  text('ERROR', ({ error }) => error),
]

const row: Row = {
  at: '2026-11-03T04:05:06.789Z',
  uid: '019b0000-0000-7000-8000-000000000001',
  type: 'acme.thing',
  tries: 3,
  state: 'dead',
  error: 'the other service answered with an error that is rather long',
}

/** A terminal of this width, with colours or without. */
function terminal(wide: number, utc = true, depth = 1): View {
  const stream = Object.assign(new PassThrough(), { isTTY: true, columns: wide, getColorDepth: () => depth })
  return viewOf(stream, { utc })
}

const file = viewOf(new PassThrough())

afterEach(() => {
  vi.unstubAllEnvs()
})

/** What a terminal shows as wide as two columns. */
const WIDE = /[\u3000-\u9fff\uac00-\ud7af]|\p{Extended_Pictographic}/gu
const shownWidth = (line: string): number => Array.from(line).length + (line.match(WIDE)?.length ?? 0)

describe('a table on a terminal', () => {
  test.each([40, 60, 80, 100, 200])('has no line that is wider than the %i columns of it', (wide) => {
    const rows = [row, { ...row, type: '注文が作成されました'.repeat(4), error: '🔥'.repeat(50) }]
    const lines = table(terminal(wide), columns, rows).trimEnd().split('\n')
    expect(lines).toHaveLength(3)
    for (const line of lines) expect(shownWidth(line)).toBeLessThanOrEqual(wide)
  })

  test('cuts long text with …, and neither ids nor states', () => {
    const [, line = ''] = table(terminal(110), columns, [row]).split('\n')
    expect(line).toMatch(/^11-03 04:05:06Z {2}019b0000-0000-7000-8000-000000000001 {2}acme\.thing {2} +3 {2}dead /)
    expect(line).toMatch(/ the oth.*…$/)
  })

  test('leaves the date out of times that are all of today', () => {
    const at = `${new Date().toISOString().slice(0, 10)}T04:05:06Z`
    expect(table(terminal(100), columns, [{ ...row, at }])).toMatch(/^AT \(UTC\) .*\n04:05:06Z /)
  })

  test('leaves out a spare column before it cuts an id', () => {
    const spared = columns.with(3, spare(count('TRIES', ({ tries }: Row) => tries)))
    expect(table(terminal(84), spared, [row])).toMatch(
      /ERROR\n.*019b0000-0000-7000-8000-000000000001 {2}acme.* {2}dead +the/,
    )
    expect(table(terminal(84), spared, [row])).not.toContain('TRIES')
    expect(table(terminal(120), spared, [row])).toContain('TRIES')
  })

  test('gives the room of spare columns to the text that it is read for', () => {
    const causes: Columns<Row> = [
      count('TRIES', ({ tries }) => tries),
      whole('CAUSE', ({ uid }) => uid.slice(-12)),
      text('TYPE', ({ type }) => type),
      main(text('ERROR', ({ error }) => error)),
      spare(text('SOURCE', () => 'stripe')),
      spare(time('FIRST', ({ at }) => at)),
    ]
    expect(table(terminal(80), causes, [row])).toMatch(/the other service answered with an err.*…/)
    expect(table(terminal(80), causes, [row])).not.toMatch(/FIRST/)
    expect(table(terminal(60), causes, [row])).toMatch(
      / {2}000000000001 {2}acme\.thing {2}the other service answer.*…$/m,
    )
    expect(table(terminal(160), causes, [row])).toMatch(/FIRST/)
  })

  test('cuts nothing where all fits, and leaves the year in its times', () => {
    const [, line = ''] = table(terminal(160), columns, [row]).split('\n')
    expect(line).toMatch(/^2026-11-03 04:05:06Z .* the other service answered with an error that is rather long$/)
  })

  test('leaves the year in times of different years', () => {
    const [, first, second] = table(terminal(80), columns, [row, { ...row, at: '2025-12-31T23:59:59Z' }]).split('\n')
    expect([first?.slice(0, 4), second?.slice(0, 4)]).toEqual(['2026', '2025'])
  })

  test('aligns its columns by what the terminal shows of wide characters', () => {
    const shown = table(terminal(160), columns, [row, { ...row, type: '注文👩‍👩‍👧' }])
    const [, plain = '', wide = ''] = shown.split('\n')
    const before = wide.slice(0, wide.indexOf('dead'))
    expect(shownWidth(before)).toBe(plain.indexOf('dead'))
  })

  test('shows a state in a colour where there are colours, with NO_COLOR and FORCE_COLOR respected by the stream', () => {
    expect(table(terminal(160, true, 8), columns, [row])).toContain('\u001b[31mdead\u001b[39m')
    expect(table(terminal(160, true, 1), columns, [row])).not.toContain('\u001b')
    vi.stubEnv('FORCE_COLOR', '1')
    expect(table(file, columns, [row])).toContain('\u001b[31mdead\u001b[39m')
  })

  test('shows local times, and says when they are UTC', () => {
    vi.stubEnv('TZ', 'Asia/Tokyo')
    expect(timeIn(terminal(80, false), row.at)).toBe('2026-11-03 13:05:06')
    expect(table(terminal(160, false), columns, [row])).toMatch(/^AT {2}.*\n2026-11-03 13:05:06 {2}/)
    expect(table(terminal(160, true), columns, [row])).toMatch(/^AT \(UTC\) .*\n2026-11-03 04:05:06Z {2}/)
  })
})

describe('a table that is no terminal’s', () => {
  test('cuts nothing, and has RFC 3339 times in UTC', () => {
    vi.stubEnv('TZ', 'Asia/Tokyo')
    const [, line = ''] = table(file, columns, [{ ...row, error: 'x'.repeat(500) }]).split('\n')
    expect(line.startsWith('2026-11-03T04:05:06Z  ')).toBe(true)
    expect(line.endsWith(`  ${'x'.repeat(500)}`)).toBe(true)
  })

  test('has in each row as many cells as headings, whatever the values hold', () => {
    const odd = { ...row, uid: '', type: ' two  spaces\tand\u001b[31m a tab ', error: null }
    const lines = table(file, columns, [row, odd]).trimEnd().split('\n')
    expect(lines.map((line) => line.split(/ {2,}/).length)).toEqual([6, 6, 6])
    expect(lines[2]?.split(/ {2,}/).slice(1)).toEqual(['-', 'two spaces and [31m a tab', '3', 'dead', '-'])
  })
})

test('fields break a long value between words, so that no line is wider than the terminal', () => {
  const shown = fields(terminal(30), [
    ['name', 'a value that is longer than a terminal'],
    ['other', 'short'],
  ])
  expect(shown).toBe('name   a value that is longer\n       than a terminal\nother  short\n')
})

test('a duration is told in its two largest units', () => {
  const told = [0, 900, 59_999, 60_000, 3_599_000, 3_600_000, 90_000_000, 86_400_000 * 3].map(span)
  expect(told).toEqual(['0 s', '0 s', '59 s', '1 min', '59 min', '1 h', '1 d 1 h', '3 d'])
  expect(ago('2026-11-03T04:05:06Z', Date.parse('2026-11-03T05:10:06Z'))).toBe('1 h 5 min ago')
})
