-- Where a queue begins: what is due, leases, tasks, counts. Its index leads over all that was done as long as somebody else's
-- transaction might still see it as it was, so each look starts at a watermark, below which nothing is left. Only adds, as the
-- version before, whose replicas work beside this one: triggers do for them what has to be done.
--
-- A watermark may rise to the closed floor, which is a time. Whoever puts something into a queue takes the open floor, and
-- holds a lock in its name until its transaction ends. A floor is closed when no transaction holds an earlier one: then
-- whatever was, or will be, put into a queue at an earlier place than this floor is either seen by all, or named in
-- `late_entry`. So a watermark is exact however long a commit takes, and nobody else's transaction holds it up.

-- Both are changed at once and for all, and leave nothing behind: a row would be one more dead one each time.
CREATE SEQUENCE floor_open AS bigint MINVALUE -9007199254740991;
CREATE SEQUENCE floor_closed AS bigint MINVALUE -9007199254740991;
SELECT setval('floor_open', -9007199254740991), setval('floor_closed', -9007199254740991);

-- What came to stand below the floor: it was received long before it was stored, or the clock went back.
CREATE TABLE late_entry (
  queue  text   COLLATE "C" NOT NULL,
  at     bigint NOT NULL,
  key    bigint NOT NULL,
  PRIMARY KEY (queue, at, key)
);
CREATE INDEX late_entry_by_time ON late_entry (at);

-- The watermark of each queue as it was some seconds ago, for connections that are new; each finds its own from there on, and
-- keeps it in the setting `holdfast.seen`: a crash that undoes what it has seen ends the connection too.
CREATE TABLE watermark (
  queue  text   COLLATE "C" PRIMARY KEY,
  at     bigint NOT NULL,
  key    bigint NOT NULL
) WITH (fillfactor = 50);

-- Handlers of which there was a delivery.
CREATE TABLE known_handler (name text COLLATE "C" PRIMARY KEY);
INSERT INTO known_handler SELECT w.handler FROM waiting_1() AS w;

-- One number: a floor's lock.
CREATE FUNCTION floor_lock_1(floor bigint) RETURNS bigint LANGUAGE sql STABLE AS $$
  SELECT hashint8extended(floor, 'floor_open'::regclass::oid::bigint)
$$;

-- The open floor, never before the closed one: a dump reads the two sequences one after the other, and a copy of the tables alone
-- leaves them out, but not the watermarks.
CREATE FUNCTION open_floor_1() RETURNS bigint LANGUAGE sql AS $$
  SELECT greatest(
    coalesce(pg_sequence_last_value('floor_open'), (SELECT max(w.at) FROM watermark AS w)), pg_sequence_last_value('floor_closed'),
    -9007199254740991
  )
$$;

-- The open floor, held until the transaction ends.
CREATE FUNCTION floor_1() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  v_floor bigint := nullif(current_setting('holdfast.floor', true), '');
BEGIN
  IF v_floor IS NOT NULL THEN RETURN v_floor; END IF;
  LOOP
    v_floor := open_floor_1();
    PERFORM pg_advisory_xact_lock_shared(floor_lock_1(v_floor));
    -- If it is not the open one any more, it may have been closed before it was held.
    EXIT WHEN v_floor = open_floor_1();
  END LOOP;
  PERFORM set_config('holdfast.floor', v_floor::text, true);
  RETURN v_floor;
END $$;

-- Opens the next floor, and closes it as soon as nobody holds the one before. Gives the closed one. It stays a little behind
-- the clock, since what is due at once was received a moment before, and more where that was not enough.
CREATE FUNCTION advance_floor_1(p_now bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  v_open bigint;
  v_closed bigint;
BEGIN
  -- One at a time; and not in a transaction that holds a floor: its own lock would not keep it from closing that.
  IF nullif(current_setting('holdfast.floor', true), '') IS NULL AND pg_try_advisory_xact_lock(floor_lock_1(-9007199254740992)) THEN
    v_open := open_floor_1();
    v_closed := coalesce(pg_sequence_last_value('floor_closed'), -9007199254740991);
    IF v_closed = v_open AND p_now - 300 > v_open
      AND (p_now - 10000 > v_open OR NOT EXISTS (SELECT FROM late_entry WHERE at > v_open - 10000)) THEN
      v_open := setval('floor_open', p_now - 250);
    END IF;
    IF v_closed < v_open AND pg_try_advisory_xact_lock(floor_lock_1(v_closed)) THEN
      PERFORM setval('floor_closed', v_open);
    END IF;
  END IF;
  RETURN pg_sequence_last_value('floor_closed');
END $$;

CREATE FUNCTION pending_queue_1(handler text, isolated boolean) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN isolated THEN 'isolated:' ELSE 'shared:' END || handler
$$;

CREATE FUNCTION place_delivery_1() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  v_path text;
  v_at bigint := CASE WHEN NEW.state = 'running' THEN NEW.lease_until ELSE NEW.due_at END;
BEGIN
  IF current_schema() IS DISTINCT FROM TG_TABLE_SCHEMA THEN
    -- By hand, from elsewhere.
    v_path := current_setting('search_path');
    PERFORM set_config('search_path', quote_ident(TG_TABLE_SCHEMA), true);
  END IF;
  IF v_at < coalesce(nullif(current_setting('holdfast.floor', true), '')::bigint, floor_1()) THEN
    INSERT INTO late_entry
    VALUES (CASE WHEN NEW.state = 'running' THEN 'running' ELSE pending_queue_1(NEW.handler, NEW.isolated) END, v_at, NEW.key)
    ON CONFLICT DO NOTHING;
  END IF;
  IF NEW.state = 'pending' AND strpos(coalesce(current_setting('holdfast.known', true), ''), chr(10) || NEW.handler || chr(10)) = 0 THEN
    INSERT INTO known_handler VALUES (NEW.handler) ON CONFLICT DO NOTHING;
    PERFORM set_config('holdfast.known',
      left(chr(10) || NEW.handler || chr(10) || coalesce(current_setting('holdfast.known', true), ''), 10000), false);
  END IF;
  IF v_path IS NOT NULL THEN PERFORM set_config('search_path', v_path, true); END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER placed AFTER INSERT ON delivery FOR EACH ROW WHEN (NEW.state IN ('pending', 'running'))
  EXECUTE FUNCTION place_delivery_1();
CREATE TRIGGER moved AFTER UPDATE ON delivery FOR EACH ROW
  WHEN (
    NEW.state IN ('pending', 'running') AND (NEW.state, NEW.handler, NEW.isolated, NEW.due_at, NEW.lease_until)
      IS DISTINCT FROM (OLD.state, OLD.handler, OLD.isolated, OLD.due_at, OLD.lease_until)
  )
  EXECUTE FUNCTION place_delivery_1();

-- Where a look at each of these queues has to start: (at, key).
CREATE FUNCTION starts_1(p_queues text[], p_closed bigint, OUT ats bigint[], OUT keys bigint[]) LANGUAGE plpgsql AS $$
DECLARE
  v_seen jsonb := coalesce(nullif(current_setting('holdfast.seen', true), ''), '{}');
BEGIN
  SELECT array_agg(s.at ORDER BY q.n), array_agg(s.key ORDER BY q.n) INTO ats, keys
  FROM unnest(p_queues) WITH ORDINALITY AS q (name, n)
  LEFT JOIN LATERAL (SELECT w.at, w.key FROM watermark AS w WHERE NOT v_seen ? q.name AND w.queue = q.name) AS w ON true
  CROSS JOIN LATERAL (
    SELECT e.at, e.key FROM (
      SELECT coalesce((v_seen -> q.name ->> 0)::bigint, w.at, -9007199254740991), coalesce((v_seen -> q.name ->> 1)::bigint, w.key, 0)
      UNION ALL SELECT p_closed, -9007199254740991
      UNION ALL (SELECT l.at, l.key FROM late_entry AS l WHERE l.queue = q.name ORDER BY l.at, l.key LIMIT 1)
    ) AS e (at, key) ORDER BY e.at, e.key LIMIT 1
  ) AS s;
END $$;

-- The late entries of these queues, the first ones of each: to be read before the queues are, see `saw_1`.
CREATE FUNCTION late_1(p_queues text[]) RETURNS late_entry[] LANGUAGE sql STABLE AS $$
  SELECT ARRAY(
    SELECT l FROM unnest(p_queues) AS q (name) CROSS JOIN LATERAL (
      SELECT e FROM late_entry AS e WHERE e.queue = q.name ORDER BY e.at, e.key LIMIT 256
    ) AS f (l)
  )
$$;

-- Nothing is left in these queues before these places. Of what was late, `p_late` is what was read before that was found out.
-- Written down now and then for other connections.
CREATE FUNCTION saw_1(p_now bigint, p_queues text[], p_ats bigint[], p_keys bigint[], p_late late_entry[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  v_seen jsonb := coalesce(nullif(current_setting('holdfast.seen', true), ''), '{}');
  v_saved bigint := coalesce((v_seen ->> '')::bigint, -9007199254740991);
BEGIN
  SELECT v_seen || jsonb_object_agg(q.name, jsonb_build_array(q.at, q.key)) INTO v_seen
  FROM unnest(p_queues, p_ats, p_keys) AS q (name, at, key);
  IF p_late <> '{}' THEN
    DELETE FROM late_entry WHERE (queue, at, key) IN (
      SELECT e.queue, e.at, e.key FROM unnest(p_late) AS l
      JOIN unnest(p_queues, p_ats, p_keys) AS q (name, at, key) ON q.name = l.queue AND (l.at, l.key) < (q.at, q.key)
      JOIN late_entry AS e ON e.queue = l.queue AND e.at = l.at AND e.key = l.key
      FOR UPDATE OF e SKIP LOCKED
    );
  END IF;
  IF NOT p_now BETWEEN v_saved AND v_saved + 5000 AND pg_try_advisory_xact_lock(floor_lock_1(-9007199254740993)) THEN
    v_seen := v_seen || jsonb_build_object('', p_now);
    INSERT INTO watermark AS w SELECT e.queue, (e.place ->> 0)::bigint, (e.place ->> 1)::bigint
    FROM jsonb_each(v_seen) AS e (queue, place) WHERE e.queue <> '' ORDER BY e.queue
    ON CONFLICT (queue) DO UPDATE SET at = excluded.at, key = excluded.key WHERE (excluded.at, excluded.key) > (w.at, w.key);
  END IF;
  PERFORM set_config('holdfast.seen', v_seen::text, false);
END $$;

-- Looks how far nothing is pending, of what may share a process and of what runs isolated, from these starts on: two for each handler.
CREATE FUNCTION saw_pending_1(p_now bigint, p_closed bigint, p_handlers text[], p_ats bigint[], p_keys bigint[], p_late late_entry[])
RETURNS void LANGUAGE plpgsql SET enable_sort = off AS $$
DECLARE
  v_queues text[];
  v_ats bigint[];
  v_keys bigint[];
BEGIN
  SELECT array_agg(pending_queue_1(h.name, k.kind = 2)), array_agg(coalesce(f.due_at, p_closed)), array_agg(coalesce(f.key, -9007199254740991))
  INTO v_queues, v_ats, v_keys
  FROM unnest(p_handlers) WITH ORDINALITY AS h (name, at) CROSS JOIN (VALUES (1), (2)) AS k (kind)
  LEFT JOIN LATERAL (
    SELECT q.due_at, q.key FROM delivery AS q
    WHERE q.state = 'pending' AND q.handler = h.name AND q.isolated = (k.kind = 2)
      AND (q.due_at, q.key) >= (p_ats[h.at * 2 - 2 + k.kind], p_keys[h.at * 2 - 2 + k.kind]) AND q.due_at < p_closed
    ORDER BY q.due_at, q.key LIMIT 1
  ) AS f ON true;
  IF v_queues IS NOT NULL THEN PERFORM saw_1(p_now, v_queues, v_ats, v_keys, p_late); END IF;
END $$;

-- The queues of handlers, two for each.
CREATE FUNCTION pending_queues_1(p_handlers text[]) RETURNS text[] LANGUAGE sql IMMUTABLE AS $$
  SELECT ARRAY(
    SELECT pending_queue_1(h.name, k.isolated) FROM unnest(p_handlers) WITH ORDINALITY AS h (name, at)
    CROSS JOIN (VALUES (false), (true)) AS k (isolated) ORDER BY h.at, k.isolated
  )
$$;

-- When the oldest pending delivery came due; NULL: none is due.
CREATE FUNCTION oldest_due_1(p_now bigint) RETURNS bigint LANGUAGE plpgsql
  SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off AS $$
DECLARE
  v_closed bigint := pg_sequence_last_value('floor_closed');
  v_handlers text[] := ARRAY(SELECT h.name FROM known_handler AS h);
  v_start record;
BEGIN
  SELECT * INTO v_start FROM starts_1(pending_queues_1(v_handlers), v_closed);
  RETURN (
    SELECT min(f.due_at) FROM unnest(v_handlers) WITH ORDINALITY AS h (name, at) CROSS JOIN (VALUES (1), (2)) AS k (kind)
    CROSS JOIN LATERAL (
      SELECT q.due_at FROM delivery AS q
      WHERE q.state = 'pending' AND q.handler = h.name AND q.isolated = (k.kind = 2) AND q.due_at <= p_now
        AND (q.due_at, q.key) >= (v_start.ats[h.at * 2 - 2 + k.kind], v_start.keys[h.at * 2 - 2 + k.kind])
      ORDER BY q.due_at, q.key LIMIT 1
    ) AS f
  );
END $$;

-- When the next pending delivery comes due after now, of any handler.
CREATE FUNCTION next_due_2(p_now bigint, p_handlers text[]) RETURNS bigint LANGUAGE sql STABLE AS $$
  SELECT min(f.due_at) FROM (SELECT unnest(p_handlers) UNION SELECT h.name FROM known_handler AS h) AS h (name)
  CROSS JOIN (VALUES (false), (true)) AS k (isolated) CROSS JOIN LATERAL (
    SELECT q.due_at FROM delivery AS q
    WHERE q.state = 'pending' AND q.handler = h.name AND q.isolated = k.isolated AND q.due_at > p_now
    ORDER BY q.due_at LIMIT 1
  ) AS f
$$;

-- What each transaction changes in the counts bears the floor under which it was written, so that what is summed up already is
-- passed over.
WITH gone AS (DELETE FROM tally RETURNING state, n) INSERT INTO tally SELECT state, sum(n) FROM gone GROUP BY state;
ALTER TABLE tally ADD COLUMN at bigint;
UPDATE tally SET at = -9007199254740991;
ALTER TABLE tally ALTER COLUMN at SET DEFAULT floor_1();
CREATE INDEX tally_by_floor ON tally (at);

CREATE FUNCTION tally_start_1() RETURNS bigint LANGUAGE sql STABLE AS $$
  SELECT coalesce((SELECT w.at FROM watermark AS w WHERE w.queue = 'tally'), -9007199254740991)
$$;

CREATE FUNCTION counts_1() RETURNS TABLE (state text, n bigint) LANGUAGE plpgsql
  SET enable_seqscan = off SET enable_bitmapscan = off AS $$
BEGIN
  RETURN QUERY SELECT t.state, sum(t.n)::bigint FROM tally AS t WHERE t.at >= tally_start_1() GROUP BY t.state;
END $$;

-- What all have written becomes one row for each state. Whoever does so at the same time waits, and finds nothing.
CREATE FUNCTION fold_tally_1(p_now bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  v_closed bigint := advance_floor_1(p_now);
BEGIN
  WITH gone AS (DELETE FROM tally WHERE at >= tally_start_1() AND at < v_closed RETURNING state, n)
  INSERT INTO tally SELECT state, sum(n) FROM gone GROUP BY state;
  INSERT INTO watermark AS w VALUES ('tally', v_closed, 0)
  ON CONFLICT (queue) DO UPDATE SET at = excluded.at WHERE excluded.at > w.at;
END $$;
