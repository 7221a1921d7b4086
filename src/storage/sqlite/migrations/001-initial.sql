-- Keys are given by the writer, rising, and never reused while it runs. A delivery's key is event.key * 1024 + ordinal, so
-- the primary key of delivery finds both an event's deliveries and a delivery's event.

CREATE TABLE event (
  key          INTEGER PRIMARY KEY,
  uid          TEXT    NOT NULL,
  source       TEXT    NOT NULL,
  provider     TEXT    NOT NULL,
  id           TEXT    NOT NULL,
  -- 0: the first of its source and id; 1: a later one with another body.
  variant      INTEGER NOT NULL,
  type         TEXT    NOT NULL,
  created_at   TEXT    NOT NULL,
  received_at  INTEGER NOT NULL,
  origin       TEXT    NOT NULL,
  status       TEXT    NOT NULL,
  -- JSON array; NULL: none.
  reasons      TEXT,
  task         TEXT,
  api_version  TEXT,
  -- JSON object.
  headers      TEXT    NOT NULL,
  traceparent  TEXT,
  -- Lower-case hex SHA-256 of the body.
  checksum     TEXT    NOT NULL,
  size         INTEGER NOT NULL
) STRICT;

-- An event by its uid. UUIDv7 rises with time: inserts go to the right edge.
CREATE UNIQUE INDEX event_by_uid ON event (uid);
-- Lists, newest first, and their time bounds; retention, oldest first. Right edge.
CREATE INDEX event_by_time ON event (received_at);
-- Lists of one source or of some types. One right edge for each pair.
CREATE INDEX event_by_type ON event (source, type, received_at);
-- What became of a task. Only events that belong to one.
CREATE INDEX event_by_task ON event (task, received_at) WHERE task IS NOT NULL;

-- The bytes as they came, apart, so that lists stay light.
CREATE TABLE event_body (
  key    INTEGER PRIMARY KEY,
  bytes  BLOB    NOT NULL
) STRICT;

-- What is known of (source, id): 48 bits of a SHA-256 (see dedupe.ts) to the event, which is then compared itself. The one
-- index in random order. It lags: events past watermark('dedupe') are not in it yet, and the writer keeps those in memory
-- until it adds them many at a time, in order of hash, so that several share the writing of each page.
CREATE TABLE dedupe (
  hash   INTEGER NOT NULL,
  event  INTEGER NOT NULL,
  PRIMARY KEY (hash, event)
) STRICT, WITHOUT ROWID;

CREATE TABLE watermark (
  name   TEXT    PRIMARY KEY,
  value  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO watermark VALUES ('dedupe', 0), ('probe', 0);

CREATE TABLE delivery (
  key          INTEGER PRIMARY KEY,
  handler      TEXT    NOT NULL,
  state        TEXT    NOT NULL,
  due_at       INTEGER NOT NULL,
  attempts     INTEGER NOT NULL,
  isolated     INTEGER NOT NULL,
  lease        TEXT,
  lease_until  INTEGER,
  started_at   INTEGER,
  last_error   TEXT
) STRICT;

-- What is due, for each handler. New deliveries are due last: right edge of each handler.
CREATE INDEX delivery_pending ON delivery (handler, isolated, due_at) WHERE state = 'pending';
-- Whose lease ran out. As many entries as handlers run at once.
CREATE INDEX delivery_running ON delivery (lease_until) WHERE state = 'running';
-- The dead-letter list.
CREATE INDEX delivery_dead ON delivery (key) WHERE state = 'dead';

-- How many deliveries are in each state, moved on in the same transactions, so that nobody counts a million rows.
CREATE TABLE tally (
  state  TEXT    PRIMARY KEY,
  n      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO tally VALUES ('pending', 0), ('running', 0), ('succeeded', 0), ('dead', 0);

-- Append-only. A replay counts attempts from 1 again, so that order is by ordinal, not by number.
CREATE TABLE attempt (
  delivery     INTEGER NOT NULL,
  ordinal      INTEGER NOT NULL,
  number       INTEGER NOT NULL,
  outcome      TEXT    NOT NULL,
  error        TEXT,
  started_at   INTEGER NOT NULL,
  duration_ms  INTEGER NOT NULL,
  PRIMARY KEY (delivery, ordinal)
) STRICT, WITHOUT ROWID;
