import { describe, expect, onTestFinished, test } from 'vitest'
import { mayStart, openProgress, Progress } from '../../src/dispatch/progress.ts'

function opened() {
  const fd = openProgress() ?? expect.unreachable()
  const progress = new Progress(fd)
  onTestFinished(() => progress.close())
  return { progress, start: (key: number) => mayStart(fd, key), fd }
}

describe('jobs that are taken back', () => {
  test('are those that had not started, and they never do', () => {
    const { progress, start } = opened()
    expect(start(0)).toBe(true)
    expect(start(1)).toBe(true)
    expect(progress.revoke()).toBe(1)
    expect(start(2)).toBe(false)
    expect(start(3)).toBe(false)
  })

  test('stay taken back when the process may go on, whatever it had not come to yet', () => {
    const { progress, start } = opened()
    start(0)
    progress.revoke()
    progress.restore(3)
    expect(start(1)).toBe(false)
    expect(start(2)).toBe(false)
    expect(start(3)).toBe(true)
  })

  test('are all of them, of a process that has started nothing', () => {
    const { progress, start } = opened()
    expect(progress.revoke()).toBe(-1)
    expect(start(0)).toBe(false)
  })

  test('are counted as started where both sides came at once', () => {
    const { progress, start } = opened()
    start(0)
    const before = progress.started()
    // The process writes that it starts 1 while the service takes back from 1 on: it asks afterwards, and leaves it.
    progress.revoke()
    expect(start(1)).toBe(false)
    expect(before).toBe(0)
    expect(progress.started()).toBe(1)
  })
})

test('where there is no such file, all that was sent counts as started', () => {
  const progress = new Progress(null)
  expect(progress.revoke()).toBe(Number.MAX_SAFE_INTEGER)
  expect(mayStart(-1, 0)).toBe(true)
})
