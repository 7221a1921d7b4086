-- What each process has counted of each source, in each minute and each hour. `source` is empty for the service itself.
CREATE TABLE stat (
  span    TEXT    NOT NULL,
  at      INTEGER NOT NULL,
  source  TEXT    NOT NULL,
  writer  TEXT    NOT NULL,
  numbers TEXT    NOT NULL,
  PRIMARY KEY (span, at, source, writer)
) STRICT, WITHOUT ROWID;

-- States of sources that are told once when they begin and once when they end.
CREATE TABLE episode (
  kind   TEXT    NOT NULL,
  source TEXT    NOT NULL,
  since  INTEGER NOT NULL,
  PRIMARY KEY (kind, source)
) STRICT, WITHOUT ROWID;
