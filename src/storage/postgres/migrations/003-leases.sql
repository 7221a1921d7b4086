-- As the functions of version 2, but that they start at the watermark of leases, which is never after the end of one that is held.

CREATE FUNCTION lease_start_1(p_closed bigint) RETURNS bigint LANGUAGE sql AS $$
  SELECT ats[1] FROM starts_1(ARRAY['running'], p_closed)
$$;

-- Takes back deliveries whose lease ran out. Not more often than every 100 ms over one connection, unless it is `p_forced`.
CREATE FUNCTION take_back_3(p_now bigint, p_forced boolean, p_closed bigint, p_max_attempts integer, p_lost text)
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
  IF v_lost <> '{}' THEN PERFORM lose_1(p_now, v_lost, p_max_attempts, p_lost); END IF;
  v_first := (
    SELECT d.lease_until FROM delivery AS d WHERE d.state = 'running' AND d.lease_until >= v_start AND d.lease_until < p_closed
    ORDER BY d.lease_until LIMIT 1
  );
  PERFORM saw_1(p_now, ARRAY['running'], ARRAY[coalesce(v_first, p_closed)], ARRAY[-9007199254740991], v_late);
  PERFORM set_config('holdfast.looked', p_now::text, false);
END $$;

-- Takes back what these holders, which are dead, have leased: deliveries, and tasks, whose leases end now. A holder is known
-- until none of its deliveries is left: one that is locked at the moment is left for the next time.
CREATE FUNCTION take_back_from_3(p_now bigint, p_closed bigint, p_holders text[], p_max_attempts integer, p_lost text)
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
  IF v_lost <> '{}' THEN PERFORM lose_1(p_now, v_lost, p_max_attempts, p_lost); END IF;
  PERFORM free_tasks_1(p_now, p_holders);
  DELETE FROM lease_holder WHERE uid IN (
    SELECT h.uid FROM lease_holder AS h WHERE h.uid::text = ANY (p_holders) AND h.seen_at < clock_1(NULL) - 6500
      AND NOT EXISTS (
        SELECT FROM delivery AS d WHERE d.state = 'running' AND d.lease_until >= v_start AND holder_1(d.lease) = h.uid::text
      )
    ORDER BY h.uid FOR UPDATE SKIP LOCKED
  );
END $$;

-- Gives back what is leased to a holder that does not know of it: under none of these leases, of which it has no answer yet,
-- none of these deliveries, and no lease later than that number. Its attempt is not counted: no handler has it.
CREATE FUNCTION give_back_2(p_now bigint, p_holder uuid, p_last bigint, p_asked text[], p_held bigint[], p_why text)
RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
  v_start bigint := lease_start_1(pg_sequence_last_value('floor_closed'));
  v_free bigint[] := ARRAY(
    SELECT key FROM delivery
    WHERE state = 'running' AND lease_until >= v_start AND holder_1(lease) = p_holder::text AND lease_number_1(lease) <= p_last
      AND NOT lease = ANY (p_asked) AND NOT key = ANY (p_held) ORDER BY key FOR UPDATE
  );
BEGIN
  IF v_free = '{}' THEN RETURN 0; END IF;
  INSERT INTO attempt
  SELECT key, next_ordinal_1(key), attempts, 'released', p_why, started_at, greatest(0, p_now - started_at)
  FROM delivery WHERE key = ANY (v_free);
  UPDATE delivery SET state = 'pending', due_at = p_now, attempts = attempts - 1, lease = NULL, lease_until = NULL,
    started_at = NULL
  WHERE key = ANY (v_free);
  INSERT INTO tally VALUES ('running', -cardinality(v_free)), ('pending', cardinality(v_free));
  RETURN cardinality(v_free);
END $$;

-- A holder goes, in order: what it has leased is free at once.
CREATE FUNCTION leave_2(p_now bigint, p_holder uuid, p_why text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM give_back_2(p_now, p_holder, 9007199254740991, '{}', '{}', p_why);
  PERFORM free_tasks_1(p_now, ARRAY[p_holder::text]);
  DELETE FROM lease_holder WHERE uid = p_holder;
END $$;
