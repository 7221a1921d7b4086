import type { DatabaseSync } from 'node:sqlite'
import type { Question } from '../../domain/task-question.ts'
import {
  firstQuestionKey,
  lastQuestionKey,
  type QuestionRow,
  questionKey,
  questionOf,
  questionRow,
} from '../shared/questions.ts'
import type { Damage } from './damage.ts'
import { unlessDamaged } from './errors.ts'

/** Keeps a question about the task with this key. Without it, the task moves on all the same if the page of its questions is damaged. */
export function prepareKeepQuestion(db: DatabaseSync, damage: Damage) {
  const last = db.prepare('SELECT coalesce(max(n), 0) AS n FROM task_question WHERE key BETWEEN ? AND ?')
  const insert = db.prepare(`
    INSERT OR REPLACE INTO task_question (key, n, at, duration_ms, kind, asked_by, outcome, word, error)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
  `)

  function keep(task: number, question: Question): void {
    const n = Number(last.get(firstQuestionKey(task), lastQuestionKey(task))?.n) + 1
    const { at, duration_ms, kind, asked_by, outcome, word, error } = questionRow(question)
    insert.run(questionKey(task, n), n, at, duration_ms, kind, asked_by, outcome, word, error)
  }

  return (task: number, question: Question | undefined): void => {
    if (question === undefined) return
    damage.around(
      'the questions about task',
      task,
      () => keep(task, question),
      () => {},
    )
  }
}

/** Gives those that can be read. */
export function prepareQuestions(db: DatabaseSync) {
  const keyOf = db.prepare('SELECT key FROM task WHERE uid = ?')
  const select = db.prepare('SELECT * FROM task_question WHERE key BETWEEN ? AND ? ORDER BY n')

  return (uid: string): readonly Question[] => {
    const key = keyOf.get(uid)?.key
    if (typeof key !== 'number') return []
    const rows = unlessDamaged(() => select.all(firstQuestionKey(key), lastQuestionKey(key))) ?? []
    return rows.map((row) => questionOf(row as QuestionRow))
  }
}
