import { describe, expect, onTestFinished, test } from 'vitest'
import { createProgressFile, JobProgress, mayStart } from '../../src/dispatch/ipc/job-progress.ts'

function opened() {
  const fd = createProgressFile() ?? expect.unreachable()
  const progress = new JobProgress(fd)
  onTestFinished(() => progress.close())
  return { progress, start: (key: number) => mayStart(fd, key), fd }
}

describe('jobs that the service revokes', () => {
  test('are those that have not started, and the process never starts them', () => {
    const { progress, start } = opened()
    expect(start(0)).toBe(true)
    expect(start(1)).toBe(true)
    expect(progress.revoke()).toBe(1)
    expect(start(2)).toBe(false)
    expect(start(3)).toBe(false)
  })

  test('stay revoked when the process may start others again', () => {
    const { progress, start } = opened()
    start(0)
    progress.revoke()
    progress.restore(3)
    expect(start(1)).toBe(false)
    expect(start(2)).toBe(false)
    expect(start(3)).toBe(true)
  })

  test('are all jobs of a process that has started none', () => {
    const { progress, start } = opened()
    expect(progress.revoke()).toBe(-1)
    expect(start(0)).toBe(false)
  })

  test('count as started where the process starts one at the same moment', () => {
    const { progress, start } = opened()
    start(0)
    const before = progress.started()
    // The process writes that it starts 1 while the service revokes from 1 on: it reads afterwards, and does not run it.
    progress.revoke()
    expect(start(1)).toBe(false)
    expect(before).toBe(0)
    expect(progress.started()).toBe(1)
  })
})

test('without a progress file all jobs that were sent count as started', () => {
  const progress = new JobProgress(null)
  expect(progress.revoke()).toBe(Number.MAX_SAFE_INTEGER)
  expect(mayStart(-1, 0)).toBe(true)
})
