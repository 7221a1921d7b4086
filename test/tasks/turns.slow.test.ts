import { test } from 'vitest'
import { soundTasksArePolled } from './mixed-tasks.ts'

test('healthy tasks beside failing tasks of their source are polled within a bound, however many failing tasks there are', () =>
  soundTasksArePolled(40))
