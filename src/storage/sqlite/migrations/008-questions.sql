-- What a provider was asked about a task, and what came of it: see domain/task-question.ts. Of each task the last 100: question `n` has the
-- key of its task times 128, plus n modulo 100, and so takes the row of the question that was asked 100 questions before.
CREATE TABLE task_question (
  key          INTEGER PRIMARY KEY,
  n            INTEGER NOT NULL,
  at           INTEGER NOT NULL,
  duration_ms  INTEGER NOT NULL,
  kind         TEXT    NOT NULL,
  asked_by     TEXT    NOT NULL,
  outcome      TEXT    NOT NULL,
  -- The provider's own word for the status of the task.
  word         TEXT,
  error        TEXT
) STRICT;
