-- Work that providers do for us. Keys rise with creation. In the same database as events, so that an event and the task
-- that it ends are one transaction.

CREATE TABLE task (
  key              INTEGER PRIMARY KEY,
  uid              TEXT    NOT NULL,
  source           TEXT    NOT NULL,
  -- The provider's; NULL while it has none.
  id               TEXT,
  status           TEXT    NOT NULL,
  -- The provider's own word for its status.
  word             TEXT,
  -- JSON; NULL once it was answered.
  request          TEXT,
  -- JSON object.
  metadata         TEXT,
  idempotency_key  TEXT,
  fingerprint      TEXT,
  created_at       INTEGER NOT NULL,
  stale_at         INTEGER NOT NULL,
  expires_at       INTEGER NOT NULL,
  -- When it is next asked for or submitted; of a leased one, when the lease runs out. Never after expires_at but by a lease.
  due_at           INTEGER NOT NULL,
  lease            TEXT,
  polls            INTEGER NOT NULL,
  -- Since the last answer that could be used.
  failures         INTEGER NOT NULL,
  last_error       TEXT,
  ended_at         INTEGER,
  resolved_by      TEXT,
  -- Uid of the event that ended it.
  event            TEXT
) STRICT;

CREATE UNIQUE INDEX task_by_uid ON task (uid);
CREATE UNIQUE INDEX task_by_id ON task (source, id) WHERE id IS NOT NULL;
CREATE UNIQUE INDEX task_by_idempotency_key ON task (idempotency_key) WHERE idempotency_key IS NOT NULL;
-- What is to be asked for, and what is past its deadline: however many wait, a look finds only those.
CREATE INDEX task_due ON task (source, due_at) WHERE ended_at IS NULL;
CREATE INDEX task_expiring ON task (source, expires_at) WHERE ended_at IS NULL;
-- Retention.
CREATE INDEX task_ended ON task (ended_at) WHERE ended_at IS NOT NULL;
-- How often a source's tasks had to be asked for.
CREATE INDEX task_recovered ON task (source, ended_at) WHERE resolved_by = 'poll';

INSERT INTO tally VALUES
  ('task:submitting', 0), ('task:pending', 0), ('task:completed', 0), ('task:failed', 0), ('task:cancelled', 0),
  ('task:expired', 0);

-- How an event ends its task, and the provider's word for it; NULL: it does not. Found by event_by_task when the task is
-- tracked after the event has come.
ALTER TABLE event ADD COLUMN task_end TEXT;
ALTER TABLE event ADD COLUMN task_word TEXT;
