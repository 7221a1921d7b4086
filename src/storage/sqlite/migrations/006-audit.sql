-- The changes that persons and programs made: see domain/audit.ts. In the order in which they were recorded.
CREATE TABLE audit (
  key          INTEGER PRIMARY KEY,
  at           INTEGER NOT NULL,
  action       TEXT    NOT NULL,
  target       TEXT,
  -- How many things were changed.
  n            INTEGER,
  outcome      TEXT    NOT NULL,
  status       INTEGER,
  reason       TEXT,
  actor        TEXT    NOT NULL,
  token_place  INTEGER,
  claimed_name TEXT,
  peer         TEXT,
  agent        TEXT
) STRICT;
