-- The paths in payloads whose values are indexed: SOURCE_<NAME>_KEYS. The index has the values of every event of the source with the key
-- `complete_from` or a greater one; 0: of all.
CREATE TABLE payload_path (
  id             INTEGER PRIMARY KEY,
  source         TEXT    NOT NULL,
  path           TEXT    NOT NULL,
  complete_from  INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX payload_path_by_name ON payload_path (source, path);
CREATE TABLE payload_value (
  path   INTEGER NOT NULL,
  value  TEXT    NOT NULL,
  event  INTEGER NOT NULL,
  PRIMARY KEY (path, value, event)
) STRICT, WITHOUT ROWID;
-- Retention.
CREATE INDEX payload_value_by_event ON payload_value (event);
