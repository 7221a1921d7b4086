-- Only adds, so that replicas of the release before work beside this one. They store events without order keys, and do not see the two
-- new states; what they lease, settle and replay keeps the order by the trigger below.

-- The deliveries to one handler with one `order_key` run one after another. NULL: it runs in no order. One of them is the head: it alone
-- is 'pending' or 'running'. The others are 'blocked', or 'unplaced': it is not known yet whether there is a head. Both count as pending,
-- in `tally` too.
ALTER TABLE delivery ADD COLUMN order_key bigint;
-- JSON object, handler to order key: for an event in conflict, in case that it takes the id. NULL: none.
ALTER TABLE event ADD COLUMN order_keys text;

-- The head of each order key, and those behind it in order of key.
CREATE INDEX delivery_order ON delivery (handler, order_key, state, key)
  WHERE order_key IS NOT NULL AND state IN ('pending', 'running', 'blocked', 'unplaced');
CREATE INDEX delivery_unplaced ON delivery (due_at, key) WHERE state = 'unplaced';

-- A transaction that makes a delivery the head, or ends one that is the head, holds this lock until its own end, and reads only after it
-- has the lock. An append never takes it: its commit may wait for a standby.
CREATE FUNCTION order_lock_1(handler text, order_key bigint) RETURNS bigint LANGUAGE sql STABLE AS $$
  SELECT hashint8extended(order_key, hashtextextended(handler, 'delivery'::regclass::oid::bigint))
$$;

CREATE FUNCTION has_head_1(p_handler text, p_order_key bigint) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN EXISTS (
    SELECT FROM delivery AS d WHERE d.handler = p_handler AND d.order_key = p_order_key AND d.state = 'running'
  ) OR EXISTS (
    SELECT FROM delivery AS d WHERE d.handler = p_handler AND d.order_key = p_order_key AND d.state = 'pending'
  );
END $$;

-- The first of those that are not the head; NULL: there is none.
CREATE FUNCTION first_waiting_1(p_handler text, p_order_key bigint) RETURNS bigint LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN least(
    (SELECT d.key FROM delivery AS d
     WHERE d.handler = p_handler AND d.order_key = p_order_key AND d.state = 'blocked' ORDER BY d.key LIMIT 1),
    (SELECT d.key FROM delivery AS d
     WHERE d.handler = p_handler AND d.order_key = p_order_key AND d.state = 'unplaced' ORDER BY d.key LIMIT 1)
  );
END $$;

-- These deliveries have become unplaced: as place_delivery_1, for the queue of what is unplaced.
CREATE FUNCTION became_unplaced_1(p_keys bigint[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  v_floor bigint := floor_1();
BEGIN
  INSERT INTO late_entry
  SELECT 'unplaced', d.due_at, d.key FROM delivery AS d WHERE d.key = ANY (p_keys) AND d.state = 'unplaced' AND d.due_at < v_floor
  ON CONFLICT DO NOTHING;
END $$;

-- The head has ended: the first of those behind it is the head, due at that time. Where a damaged page is in the way, the repair of
-- orders comes back to it.
CREATE FUNCTION head_ended_1(p_handler text, p_order_key bigint, p_at bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_advisory_xact_lock(order_lock_1(p_handler, p_order_key));
  UPDATE delivery SET state = 'pending', due_at = p_at
  WHERE key = first_waiting_1(p_handler, p_order_key) AND state IN ('blocked', 'unplaced') AND NOT has_head_1(p_handler, p_order_key);
EXCEPTION WHEN data_corrupted OR index_corrupted THEN
  NULL;
END $$;

-- By a trigger, since heads end in many ways, also by the functions of replicas of the release before. One trigger for all, since each costs
-- a statement some time, also where nothing is ordered.
CREATE FUNCTION ordered_1() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  v_path text;
BEGIN
  IF current_schema() IS DISTINCT FROM TG_TABLE_SCHEMA THEN
    -- By hand, from elsewhere.
    v_path := current_setting('search_path');
    PERFORM set_config('search_path', quote_ident(TG_TABLE_SCHEMA), true);
  END IF;
  IF OLD.order_key IS NOT NULL AND OLD.state IN ('pending', 'running') AND NEW.state NOT IN ('pending', 'running') THEN
    PERFORM head_ended_1(OLD.handler, OLD.order_key, NEW.due_at);
  END IF;
  IF NEW.order_key IS NOT NULL AND NEW.state = 'pending' AND OLD.state IN ('succeeded', 'dead') THEN
    -- As a replica of the release before replays it, it would be a second head.
    UPDATE delivery SET state = 'unplaced' WHERE key = NEW.key;
  ELSIF NEW.state = 'unplaced' AND (NEW.state, NEW.due_at) IS DISTINCT FROM (OLD.state, OLD.due_at) THEN
    PERFORM became_unplaced_1(ARRAY[NEW.key]);
  END IF;
  IF v_path IS NOT NULL THEN PERFORM set_config('search_path', v_path, true); END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER ordered AFTER UPDATE ON delivery FOR EACH ROW WHEN (OLD.order_key IS NOT NULL OR NEW.order_key IS NOT NULL)
  EXECUTE FUNCTION ordered_1();

-- Retention of the release before would take an event for old of which only such deliveries are left.
CREATE FUNCTION keep_waiting_1() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  -- Not what is deleted by hand.
  IF current_setting('application_name') LIKE 'holdfast %' THEN
    RAISE EXCEPTION 'the event is needed: a delivery waits for its turn';
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER needed AFTER DELETE ON delivery FOR EACH ROW WHEN (OLD.state IN ('blocked', 'unplaced'))
  EXECUTE FUNCTION keep_waiting_1();

-- Finds out of unplaced deliveries, a bounded number of them, whether each is the head or blocked. Does not wait: what another
-- transaction holds is left for the next call. Returns whether anything is left.
CREATE FUNCTION place_1(p_now bigint) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  v_now bigint := clock_1(p_now);
  v_closed bigint := coalesce(pg_sequence_last_value('floor_closed'), -9007199254740991);
  v_late late_entry[] := late_1(ARRAY['unplaced']);
  v_start record;
  v_found bigint[];
  v_first record;
BEGIN
  SELECT s.ats[1] AS at, s.keys[1] AS key INTO v_start FROM starts_1(ARRAY['unplaced'], v_closed) AS s;
  WITH batch AS MATERIALIZED (
    SELECT d.key, d.handler, d.order_key FROM delivery AS d
    WHERE d.state = 'unplaced' AND (d.due_at, d.key) >= (v_start.at, v_start.key) ORDER BY d.due_at, d.key LIMIT 256
  ),
  lines AS MATERIALIZED (SELECT DISTINCT b.handler, b.order_key FROM batch AS b),
  held AS MATERIALIZED (
    SELECT l.handler, l.order_key FROM lines AS l WHERE pg_try_advisory_xact_lock(order_lock_1(l.handler, l.order_key))
  )
  SELECT array_agg(b.key) INTO v_found FROM batch AS b JOIN held USING (handler, order_key);

  IF v_found IS NOT NULL THEN
    UPDATE delivery SET state = 'pending' WHERE key IN (
      SELECT f.key FROM delivery AS f WHERE f.state IN ('blocked', 'unplaced') AND f.key = ANY (ARRAY(
        SELECT first_waiting_1(l.handler, l.order_key)
        FROM (SELECT DISTINCT d.handler, d.order_key FROM delivery AS d WHERE d.key = ANY (v_found)) AS l
        WHERE NOT has_head_1(l.handler, l.order_key)
      )) FOR UPDATE SKIP LOCKED
    );
    UPDATE delivery SET state = 'blocked' WHERE key IN (
      SELECT d.key FROM delivery AS d
      WHERE d.key = ANY (v_found) AND d.state = 'unplaced' AND has_head_1(d.handler, d.order_key) FOR UPDATE SKIP LOCKED
    );
  END IF;

  SELECT d.due_at, d.key INTO v_first FROM delivery AS d
  WHERE d.state = 'unplaced' AND (d.due_at, d.key) >= (v_start.at, v_start.key) ORDER BY d.due_at, d.key LIMIT 1;
  IF v_first.due_at < v_closed THEN
    PERFORM saw_1(v_now, ARRAY['unplaced'], ARRAY[v_first.due_at], ARRAY[v_first.key], v_late);
  ELSE
    PERFORM saw_1(v_now, ARRAY['unplaced'], ARRAY[v_closed], ARRAY[-9007199254740991], v_late);
  END IF;
  RETURN v_first.key IS NOT NULL;
END $$;
