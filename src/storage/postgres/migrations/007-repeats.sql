-- Events that were sent again with the same bytes: how many times, when last, and from which address. No row: not once. `key` is the event's.
-- Replicas of the release before do not count them.
CREATE TABLE event_repeat (
  key        bigint  PRIMARY KEY,
  n          bigint  NOT NULL,
  last_at    bigint  NOT NULL,
  last_from  text
) WITH (fillfactor = 70);

-- Counts events that were sent again; the three arrays have one element for each time. The caller writes nothing after it in its transaction:
-- rows are locked in order of key, so that transactions wait for each other, but never in a circle.
CREATE FUNCTION repeated_1(p_keys bigint[], p_times bigint[], p_from text[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO event_repeat AS r (key, n, last_at, last_from)
  SELECT a.key, count(*), max(a.at), (array_agg(a.from_address ORDER BY a.at DESC, a.place DESC))[1]
  FROM unnest(p_keys, p_times, p_from) WITH ORDINALITY AS a (key, at, from_address, place)
  GROUP BY a.key ORDER BY a.key
  ON CONFLICT (key) DO UPDATE SET n = r.n + excluded.n, last_at = greatest(r.last_at, excluded.last_at),
    last_from = CASE WHEN excluded.last_at >= r.last_at THEN excluded.last_from ELSE r.last_from END;
EXCEPTION WHEN data_corrupted OR index_corrupted THEN
  -- The duplicate is acknowledged all the same.
END $$;

-- Deletes the counts of those of these events that are deleted, in the order in which `repeated_1` locks them.
CREATE FUNCTION forget_repeats_1(p_keys bigint[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM FROM event_repeat AS r
  WHERE r.key = ANY (p_keys) AND NOT EXISTS (SELECT FROM event WHERE event.key = r.key) ORDER BY r.key FOR UPDATE;
  DELETE FROM event_repeat AS r WHERE r.key = ANY (p_keys) AND NOT EXISTS (SELECT FROM event WHERE event.key = r.key);
EXCEPTION WHEN data_corrupted OR index_corrupted THEN
  -- The events are deleted all the same.
END $$;
