-- Events that were sent again with the same bytes: how many times, when last, and from which address. No row: not once. `key` is the event's.
CREATE TABLE event_repeat (
  key        INTEGER PRIMARY KEY,
  n          INTEGER NOT NULL,
  last_at    INTEGER NOT NULL,
  last_from  TEXT
) STRICT;
