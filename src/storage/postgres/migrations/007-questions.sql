-- What a provider was asked about a task, and what came of it: see domain/task-question.ts. Of each task the last 100: question `n` has the
-- key of its task times 128, plus n modulo 100, and so takes the row of the question that was asked 100 questions before. Replicas of the
-- release before record none.
CREATE TABLE task_question (
  key          bigint  PRIMARY KEY,
  n            integer NOT NULL,
  at           bigint  NOT NULL,
  duration_ms  bigint  NOT NULL,
  kind         text    COLLATE "C" NOT NULL,
  asked_by     text    COLLATE "C" NOT NULL,
  outcome      text    COLLATE "C" NOT NULL,
  -- The provider's own word for the status of the task.
  word         text    COLLATE "C",
  error        text    COLLATE "C"
);

-- Keeps a question about a task, which the caller has locked. `p_question`: `kind`, `by`, `duration_ms`, `outcome`, `word`, `error`.
-- NULL: there was none.
CREATE FUNCTION keep_question_1(p_task bigint, p_at bigint, p_question json) RETURNS void LANGUAGE plpgsql STRICT AS $$
DECLARE
  v_n integer;
BEGIN
  SELECT coalesce(max(n), 0) + 1 INTO v_n FROM task_question WHERE key BETWEEN p_task * 128 AND p_task * 128 + 127;
  INSERT INTO task_question (key, n, at, duration_ms, kind, asked_by, outcome, word, error)
  SELECT p_task * 128 + v_n % 100, v_n, p_at, q.duration_ms, q.kind, q.by, q.outcome, q.word, q.error
  FROM json_to_record(p_question) AS q (duration_ms bigint, kind text, by text, outcome text, word text, error text)
  ON CONFLICT (key) DO UPDATE SET n = excluded.n, at = excluded.at, duration_ms = excluded.duration_ms, kind = excluded.kind,
    asked_by = excluded.asked_by, outcome = excluded.outcome, word = excluded.word, error = excluded.error;
EXCEPTION WHEN data_corrupted OR index_corrupted THEN
  -- The task moves on all the same.
END $$;

-- Replicas of the release before delete tasks, too, and do not know this table.
CREATE FUNCTION forget_questions_1() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM task_question WHERE key BETWEEN OLD.key * 128 AND OLD.key * 128 + 127;
  RETURN NULL;
EXCEPTION WHEN data_corrupted OR index_corrupted THEN
  RETURN NULL;
END $$;
CREATE TRIGGER questions_forgotten AFTER DELETE ON task FOR EACH ROW EXECUTE FUNCTION forget_questions_1();
