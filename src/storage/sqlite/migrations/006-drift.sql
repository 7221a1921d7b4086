-- The shape of the payloads of each source and type: which paths they have, and kinds of values; never a value.
CREATE TABLE shape (
  source    TEXT    NOT NULL,
  type      TEXT    NOT NULL,
  version   INTEGER NOT NULL,
  saved_at  INTEGER NOT NULL,
  -- JSON.
  shape     TEXT    NOT NULL,
  PRIMARY KEY (source, type)
) STRICT, WITHOUT ROWID;

-- The changes of shapes. A key is never reused while the row before it is there; the number of rows is bounded.
CREATE TABLE drift (
  key        INTEGER PRIMARY KEY,
  source     TEXT    NOT NULL,
  type       TEXT    NOT NULL,
  path       TEXT    NOT NULL,
  what       TEXT    NOT NULL,
  from_kinds TEXT,
  to_kinds   TEXT,
  at         INTEGER NOT NULL,
  event      TEXT    NOT NULL
) STRICT;
CREATE INDEX drift_by_time ON drift (at, key);
