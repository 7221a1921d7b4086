import type { Fixture } from './store-contract.ts'
import { describeAsked } from './store-contract-task-asked.ts'
import { describeTaskBeginning, describeTrackedLate } from './store-contract-task-begin.ts'
import { describeTaskClaims } from './store-contract-task-claims.ts'
import { describeTaskEnds } from './store-contract-task-ends.ts'
import { describeTaskLists } from './store-contract-task-lists.ts'
import { describePostpone } from './store-contract-task-postpone.ts'
import { describeQuestions } from './store-contract-task-questions.ts'
import { describeSubmitted } from './store-contract-task-submitted.ts'

/** The guarantees of `domain/task-store.ts`, and of `append` where an event ends a task. */
export function describeTasks(fixture: Fixture): void {
  describeTaskBeginning(fixture)
  describeTrackedLate(fixture)
  describeSubmitted(fixture)
  describeTaskEnds(fixture)
  describeAsked(fixture)
  describeTaskClaims(fixture)
  describePostpone(fixture)
  describeTaskLists(fixture)
  describeQuestions(fixture)
}
