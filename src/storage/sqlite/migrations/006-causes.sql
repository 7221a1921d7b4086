-- Why deliveries died: one row for each cause, handler and source. `id` is the public one, a short hash of `signature` and `at`.
-- Keys rise and are never given again: retention keeps the row with the greatest one.
CREATE TABLE cause (
  key        INTEGER PRIMARY KEY,
  id         TEXT    NOT NULL,
  handler    TEXT    NOT NULL,
  source     TEXT    NOT NULL,
  -- The error without what differs from one occurrence to the next.
  signature  TEXT    NOT NULL,
  -- The line of the handler; NULL: not known.
  at         TEXT,
  first_at   INTEGER NOT NULL,
  -- When an attempt last failed because of it, to within some hours.
  seen_at    INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX cause_by_id ON cause (id, handler, source);

-- Of a dead or discarded delivery. NULL: not found out yet.
ALTER TABLE delivery ADD COLUMN cause INTEGER;
-- Dead letters by cause, in order of death: due_at of a dead delivery is when it died.
CREATE INDEX delivery_cause ON delivery (cause, due_at) WHERE state = 'dead';
-- `discarded`: an operator has dealt with a dead delivery.
CREATE INDEX delivery_discarded ON delivery (key) WHERE state = 'discarded';
INSERT INTO tally VALUES ('discarded', 0);
