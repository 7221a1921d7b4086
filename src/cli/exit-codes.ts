import { EXIT_CONFIGURATION } from '../domain/errors.ts'
import {
  EXIT_FAILED,
  EXIT_NOT_COMPLETED,
  EXIT_NOT_FOUND,
  EXIT_NOT_PERMITTED,
  EXIT_OK,
  EXIT_TIMEOUT,
  EXIT_UNREACHABLE,
  EXIT_USAGE,
} from './command.ts'

/** What `holdfast help exit-codes` and docs/operating.md say of each exit code. */
export const EXIT_CODES: readonly (readonly [code: number, meaning: string])[] = [
  [EXIT_OK, 'done; for a list also if it is empty'],
  [EXIT_FAILED, 'understood, but not done: the service refuses or fails, a replay runs nothing, you answered no'],
  [EXIT_USAGE, 'not understood: an unknown command or option, an invalid value or file, a question without a terminal'],
  [EXIT_NOT_COMPLETED, 'tasks wait: the task has ended, but not as completed'],
  [EXIT_NOT_FOUND, 'there is no such event, replay, task, handler, source or registration'],
  [EXIT_UNREACHABLE, 'no service answers at the address, or another server does'],
  [EXIT_NOT_PERMITTED, 'the service wants a token, or one that may do this'],
  [EXIT_CONFIGURATION, 'a fault in the configuration'],
  [EXIT_TIMEOUT, 'timed out: the task has not ended within --timeout, or the service does not answer in time'],
]
