-- Handlers and sources whose deliveries do not run: see domain/pause.ts.
CREATE TABLE pause (
  key     INTEGER PRIMARY KEY,
  -- 'handler' or 'source'
  kind    TEXT    NOT NULL,
  name    TEXT    NOT NULL,
  since   INTEGER NOT NULL,
  paused_by TEXT  NOT NULL,
  reason  TEXT,
  UNIQUE (kind, name)
) STRICT;

-- The source for whose pause a pending delivery waits. Without a meaning in other states.
ALTER TABLE delivery ADD COLUMN held_for TEXT;
CREATE INDEX delivery_held ON delivery (held_for, key) WHERE state = 'pending' AND held_for IS NOT NULL;
