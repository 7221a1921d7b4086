-- What is to be asked for, apart by whether it has failed since its last answer: however many fail, a look finds the others.
-- Replicas of before go by task_due.
CREATE INDEX task_due_sound ON task (source, due_at, key) WHERE ended_at IS NULL AND failures = 0;
CREATE INDEX task_due_failed ON task (source, due_at, key) WHERE ended_at IS NULL AND failures > 0;
