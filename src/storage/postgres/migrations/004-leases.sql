-- As the functions of version 3, and handlers may have limits of their own: see claim_4.

-- The most attempts of a handler's deliveries.
CREATE FUNCTION most_attempts_1(p_handler text, p_max_attempts integer, p_own json) RETURNS integer LANGUAGE sql AS $$
  SELECT coalesce((
    SELECT o.max_attempts FROM json_to_recordset(p_own) AS o (handler text, max_attempts integer) WHERE o.handler = p_handler
  ), p_max_attempts)
$$;

CREATE FUNCTION lose_2(p_now bigint, p_keys bigint[], p_max_attempts integer, p_own json, p_lost text) RETURNS void LANGUAGE sql AS $$
  WITH lost AS MATERIALIZED (
    SELECT key, attempts, started_at, isolated OR last_error IS NOT DISTINCT FROM p_lost AS isolated,
      CASE WHEN attempts >= most_attempts_1(handler, p_max_attempts, p_own) THEN 'dead' ELSE 'pending' END AS state
    FROM delivery WHERE key = ANY (p_keys)
  ),
  moved AS (
    UPDATE delivery SET state = lost.state, due_at = p_now, isolated = lost.isolated, last_error = p_lost, lease = NULL,
      lease_until = NULL, started_at = NULL
    FROM lost WHERE delivery.key = lost.key
  ),
  recorded AS (
    INSERT INTO attempt
    SELECT key, next_ordinal_1(key), attempts, 'lease_lost', p_lost, started_at, greatest(0, p_now - started_at) FROM lost
  )
  INSERT INTO tally
  SELECT state, count(*) FROM lost GROUP BY state UNION ALL SELECT 'running', -count(*) FROM lost HAVING count(*) > 0
$$;

-- Takes back deliveries whose lease ran out. Not more often than every 100 ms over one connection, unless it is `p_forced`.
CREATE FUNCTION take_back_4(p_now bigint, p_forced boolean, p_closed bigint, p_max_attempts integer, p_own json, p_lost text)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  v_looked bigint := nullif(current_setting('holdfast.looked', true), '');
  v_late late_entry[];
  v_start bigint;
  v_lost bigint[];
  v_first bigint;
BEGIN
  IF NOT p_forced AND p_now BETWEEN v_looked AND v_looked + 99 THEN RETURN; END IF;
  v_late := late_1(ARRAY['running']);
  v_start := lease_start_1(p_closed);
  v_lost := ARRAY(
    SELECT key FROM delivery WHERE state = 'running' AND lease_until BETWEEN v_start AND p_now FOR UPDATE SKIP LOCKED
  );
  IF v_lost <> '{}' THEN PERFORM lose_2(p_now, v_lost, p_max_attempts, p_own, p_lost); END IF;
  v_first := (
    SELECT d.lease_until FROM delivery AS d WHERE d.state = 'running' AND d.lease_until >= v_start AND d.lease_until < p_closed
    ORDER BY d.lease_until LIMIT 1
  );
  PERFORM saw_1(p_now, ARRAY['running'], ARRAY[coalesce(v_first, p_closed)], ARRAY[-9007199254740991], v_late);
  PERFORM set_config('holdfast.looked', p_now::text, false);
END $$;

-- Takes back what these holders, which are dead, have leased: deliveries, and tasks, whose leases end now. A holder is known
-- until none of its deliveries is left: one that is locked at the moment is left for the next time.
CREATE FUNCTION take_back_from_4(p_now bigint, p_closed bigint, p_holders text[], p_max_attempts integer, p_own json, p_lost text)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  v_start bigint;
  v_lost bigint[];
BEGIN
  IF p_holders = '{}' THEN RETURN; END IF;
  v_start := lease_start_1(p_closed);
  v_lost := ARRAY(
    SELECT key FROM delivery
    WHERE state = 'running' AND lease_until >= v_start AND holder_1(lease) = ANY (p_holders) FOR UPDATE SKIP LOCKED
  );
  IF v_lost <> '{}' THEN PERFORM lose_2(p_now, v_lost, p_max_attempts, p_own, p_lost); END IF;
  PERFORM free_tasks_1(p_now, p_holders);
  DELETE FROM lease_holder WHERE uid IN (
    SELECT h.uid FROM lease_holder AS h WHERE h.uid::text = ANY (p_holders) AND h.seen_at < clock_1(NULL) - 6500
      AND NOT EXISTS (
        SELECT FROM delivery AS d WHERE d.state = 'running' AND d.lease_until >= v_start AND holder_1(d.lease) = h.uid::text
      )
    ORDER BY h.uid FOR UPDATE SKIP LOCKED
  );
END $$;
