import type { Question } from '../../domain/task-question.ts'
import { type QuestionRow, questionOf, questionRow } from '../shared/questions.ts'
import type { Connections } from './connections.ts'
import { unlessDamaged } from './errors.ts'
import { escapeTextOrNull, isUuid } from './escape-text.ts'

/** The form that `keep_question_1` reads. */
export function questionJson(question: Question) {
  const { kind, asked_by, duration_ms, outcome, word, error } = questionRow(question)
  return { kind, by: asked_by, duration_ms, outcome, word: escapeTextOrNull(word), error: escapeTextOrNull(error) }
}

/** The question as a value of a statement, and how long ago it was asked. */
export const questionValues = (question: Question | undefined, localMs: number): readonly [string | null, number] => [
  question === undefined ? null : JSON.stringify(questionJson(question)),
  Math.round(localMs - (question?.atMs ?? 0)),
]

const QUESTIONS = {
  name: 'questions',
  text: `
    SELECT q.* FROM task JOIN task_question AS q ON q.key BETWEEN task.key * 128 AND task.key * 128 + 127
    WHERE task.uid = $1 ORDER BY q.n
  `,
}

/** Gives none of a task whose questions lie on a damaged page. */
export const createQuestions =
  (connections: Connections) =>
  async (uid: string): Promise<readonly Question[]> => {
    if (!isUuid(uid)) return []
    const rows = await unlessDamaged(connections.run<QuestionRow>('read', QUESTIONS, [uid]), [])
    return rows.map(questionOf)
  }
