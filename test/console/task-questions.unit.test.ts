import { describe, expect, test } from 'vitest'
import type { Task } from '../../src/domain/task.ts'
import type { Question } from '../../src/domain/task-question.ts'
import { momentList } from '../../src/http/console/pages/moment-list.ts'
import { questionMoments } from '../../src/http/console/pages/task-questions.ts'

const NOW_MS = Date.parse('2026-11-26T03:12:41Z')
const MINUTE_MS = 60_000

const question = (n: number, given: Partial<Question> = {}): Question => ({
  kind: 'poll',
  by: 'poller',
  atMs: NOW_MS - 200 * MINUTE_MS + n * MINUTE_MS,
  durationMs: 20 + n,
  outcome: 'pending',
  providerStatus: 'processing',
  ...given,
})

const failed = (n: number): Question => {
  const { providerStatus: _none, ...rest } = question(n)
  return { ...rest, outcome: 'unusable', error: 'the provider answered 503' }
}

const taskOf = (polls: number) => ({ source: 'ai', uid: 'u', polls, staleAtMs: NOW_MS - 300 * MINUTE_MS }) as Task
const linesOf = (questions: readonly Question[], polls = questions.length): readonly string[] => {
  const moments = questionMoments(taskOf(polls), questions, NOW_MS)
  const page = momentList(moments, { nowMs: NOW_MS, precision: 'seconds', command: 'more' }).toString()
  return page.split('</li><li id').map((each) =>
    each
      .replace(/^[^>]*>/, ' ')
      .replace(/<[^>]*>/g, ' ')
      .replace(/\s+/g, ' ')
      .trim(),
  )
}

describe('the questions about a task', () => {
  test('are told one by one, with what came of each and who asked', () => {
    const questions = [
      { ...failed(0), kind: 'submission', by: 'caller' } as const,
      { ...failed(1), kind: 'submission' } as const,
      { ...question(2), kind: 'submission', by: 'caller' } as const,
      { ...failed(2), kind: 'submission', by: 'operator', outcome: 'ended' } as const,
      question(2, { by: 'operator', error: 'a strange word' }),
      failed(3),
      question(4, { outcome: 'ended', providerStatus: 'done' }),
    ]
    expect(linesOf(questions, 3)).toEqual([
      expect.stringMatching(/Submitted: no usable answer the provider answered 503 · after 20 ms$/),
      expect.stringMatching(/Submitted again: no usable answer the provider answered 503 · after 21 ms$/),
      expect.stringMatching(/Submitted: the provider took it it answered in 22 ms$/),
      expect.stringMatching(
        /Submitted again: the task failed the provider answered 503 · it answered in 22 ms · asked by an operator$/,
      ),
      expect.stringMatching(
        /The provider said “ processing ” a strange word · it answered in 22 ms · asked by an operator$/,
      ),
      expect.stringMatching(/Asked: no usable answer the provider answered 503 · after 23 ms$/),
      expect.stringMatching(/The provider said “ done ”, which ended the task it answered in 24 ms$/),
    ])
  })

  test('that had the same answer are one in the middle, with how long it went on, and the first and the last are not', () => {
    const lines = linesOf(Array.from({ length: 12 }, (_, n) => question(n)))
    expect(lines).toHaveLength(3)
    expect(lines[1]).toMatch(
      /“ processing ”, 10 times over 9 min 21 ms to 30 ms each · at most 1 min apart · the last at 00:02:41 Show all 10/,
    )
  })

  test('have ids of their own also where a clock that was ahead gave them one time', () => {
    const at = { atMs: NOW_MS }
    const questions = [
      question(1, at),
      ...[2, 3, 4].map((n) => question(n, { ...at, providerStatus: 'queued' })),
      failed(5),
      question(6, at),
    ]
    const ids = questionMoments(taskOf(6), questions, NOW_MS).map(({ id }) => id)
    expect(ids.slice(0, 2)).toEqual([`q-${NOW_MS}`, `q-${NOW_MS}-1`])
    expect(new Set(ids).size).toBe(ids.length)
  })

  test('of which the store has no more are counted', () => {
    expect(linesOf([question(1)], 8)[0]).toContain(
      'The provider was asked 7 times before what it answered then is not kept',
    )
    expect(linesOf([], 1)).toEqual([expect.stringContaining('The provider was asked once what it answered then')])
    expect(questionMoments(taskOf(0), [], NOW_MS)).toEqual([])
  })

  test('with ever another answer are shown up to a number, the first and the newest', () => {
    const lines = linesOf(Array.from({ length: 100 }, (_, n) => question(n, { providerStatus: `at ${n} %` })))
    expect(lines).toHaveLength(30)
    expect(lines[0]).toContain('“ at 0 % ”')
    expect(lines[1]).toContain('Asked 71 times more holdfast tasks show ai u has each answer')
    expect(lines[2]).toContain('“ at 72 % ”')
    expect(lines.at(-1)).toContain('“ at 99 % ”')
  })

  test('show the words of others as text', () => {
    const [moment] = questionMoments(
      taskOf(1),
      [question(0, { providerStatus: '<b>\u202e', error: '<script>' })],
      NOW_MS,
    )
    const page = [moment?.title, moment?.detail?.()].map(String).join('')
    expect(page).not.toMatch(/<b>|<script>|\u202e/)
    expect(page).toContain('&lt;script&gt;')
  })
})
