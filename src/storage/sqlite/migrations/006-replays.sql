-- Replays of many events by filter. Keys rise and are never given again: retention keeps the row with the greatest one.
CREATE TABLE replay (
  key           INTEGER PRIMARY KEY,
  id            TEXT    NOT NULL,
  asked_by      TEXT,
  -- JSON object.
  filter        TEXT    NOT NULL,
  -- The only handler that runs; NULL: all that want the event.
  handler       TEXT,
  per_second    INTEGER,
  -- JSON object; NULL: there is no probe.
  probe         TEXT,
  matched       INTEGER NOT NULL,
  -- 1: more events match than were counted.
  matched_more  INTEGER NOT NULL,
  state         TEXT    NOT NULL,
  reason        TEXT,
  created_at    INTEGER NOT NULL,
  started_at    INTEGER,
  ended_at      INTEGER,
  replayed      INTEGER NOT NULL,
  skipped       INTEGER NOT NULL,
  -- JSON object: how many events were passed over, by reason.
  skips         TEXT    NOT NULL,
  -- Every event up to this key is done; those after `bound` are not part of it.
  cursor        INTEGER NOT NULL,
  bound         INTEGER NOT NULL,
  lease         TEXT,
  lease_until   INTEGER
) STRICT;
CREATE UNIQUE INDEX replay_by_id ON replay (id);
CREATE INDEX replay_running ON replay (key) WHERE state = 'running';

-- The replay of many events that made the delivery run last; NULL: none. An index of its own, which costs other deliveries nothing.
ALTER TABLE delivery ADD COLUMN replay INTEGER;
CREATE INDEX delivery_replay ON delivery (replay, state, due_at, handler) WHERE replay IS NOT NULL;

-- The attempts of a delivery from this ordinal on, up to its next mark, are those of a replay. NULL: of one without an id.
CREATE TABLE replay_mark (
  delivery  INTEGER NOT NULL,
  ordinal   INTEGER NOT NULL,
  replay    TEXT,
  PRIMARY KEY (delivery, ordinal)
) STRICT, WITHOUT ROWID;

-- How many deliveries of a replay had ended in which state when a later replay, or retention, took them from it.
CREATE TABLE replay_tally (
  replay   INTEGER NOT NULL,
  handler  TEXT    NOT NULL,
  state    TEXT    NOT NULL,
  n        INTEGER NOT NULL,
  PRIMARY KEY (replay, handler, state)
) STRICT, WITHOUT ROWID;
