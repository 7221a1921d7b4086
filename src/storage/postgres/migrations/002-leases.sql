-- Only adds, so that replicas of the release before work beside this one. No table that is there gets another column: a
-- connection that has prepared a SELECT * of it would be refused from then on.

-- The processes that hold leases: `lease` begins with the uid of its holder and a colon. A lease that does not, of the
-- release before, runs out. Times are the database's clock's. Written without waiting for any disk: what is lost of it is
-- said again.
CREATE TABLE lease_holder (
  uid       uuid    PRIMARY KEY,
  -- Since when it has said so without a gap.
  since_at  bigint  NOT NULL,
  -- When it last said that it lives.
  seen_at   bigint  NOT NULL
) WITH (fillfactor = 50);

-- All that is known of what went wrong in an attempt: JSON.
CREATE TABLE attempt_detail (
  delivery  bigint   NOT NULL,
  ordinal   integer  NOT NULL,
  detail    text     NOT NULL,
  PRIMARY KEY (delivery, ordinal)
);

-- Who holds a lease, and its number among those of that holder; NULL where it does not say so.
CREATE FUNCTION holder_1(lease text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT split_part(lease, ':', 1) $$;
CREATE FUNCTION lease_number_1(lease text) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
  SELECT nullif(split_part(lease, ':', 2), '')::bigint
$$;

-- A holder says that it lives (`p_says`), or only looks. Gives those that are dead, if it can tell: while the database is away
-- or stands still no holder is heard of, so only one that was heard of itself all that time, at least every 3.5 s, may say of
-- another that it has been silent for 6.5 s. One that lives says so every 2.2 s at least, which leaves 0.8 s of delay. By the
-- database's clock, whatever a test gives.
CREATE FUNCTION alive_1(p_holder uuid, p_says boolean) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
  v_now bigint := clock_1(NULL);
  v_since bigint;
BEGIN
  IF p_says THEN
    INSERT INTO lease_holder AS h (uid, since_at, seen_at) VALUES (p_holder, v_now, v_now)
    ON CONFLICT (uid) DO UPDATE SET seen_at = v_now,
      since_at = CASE WHEN v_now - h.seen_at BETWEEN 0 AND 3500 THEN h.since_at ELSE v_now END
    RETURNING h.since_at INTO v_since;
  ELSE
    SELECT h.since_at INTO v_since FROM lease_holder AS h WHERE h.uid = p_holder AND h.seen_at >= v_now - 3500;
  END IF;
  IF v_since <= v_now - 6500 THEN
    RETURN ARRAY(SELECT h.uid::text FROM lease_holder AS h WHERE h.seen_at < v_now - 6500);
  END IF;
  RETURN '{}';
END $$;

-- Takes back these running deliveries, which the caller has locked: the attempt is in their history as lost, and they are
-- pending, or dead where no attempt is left. One whose attempt before was lost as well is to run isolated.
CREATE FUNCTION lose_1(p_now bigint, p_keys bigint[], p_max_attempts integer, p_lost text) RETURNS void LANGUAGE sql AS $$
  WITH lost AS MATERIALIZED (
    SELECT key, attempts, started_at, isolated OR last_error IS NOT DISTINCT FROM p_lost AS isolated,
      CASE WHEN attempts >= p_max_attempts THEN 'dead' ELSE 'pending' END AS state
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

-- Takes back deliveries whose lease ran out.
CREATE FUNCTION take_back_2(p_now bigint, p_from bigint, p_max_attempts integer, p_lost text)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  v_lost bigint[] := ARRAY(
    SELECT key FROM delivery WHERE state = 'running' AND lease_until BETWEEN p_from AND p_now FOR UPDATE SKIP LOCKED
  );
BEGIN
  IF v_lost <> '{}' THEN PERFORM lose_1(p_now, v_lost, p_max_attempts, p_lost); END IF;
END $$;

-- Takes back what these holders, which are dead, have leased: deliveries, and tasks, whose leases end now. A holder is known
-- until none of its deliveries is left: one that is locked at the moment is left for the next time.
CREATE FUNCTION take_back_from_2(p_now bigint, p_holders text[], p_max_attempts integer, p_lost text)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  v_lost bigint[];
BEGIN
  IF p_holders = '{}' THEN RETURN; END IF;
  v_lost := ARRAY(
    SELECT key FROM delivery WHERE state = 'running' AND holder_1(lease) = ANY (p_holders) FOR UPDATE SKIP LOCKED
  );
  IF v_lost <> '{}' THEN PERFORM lose_1(p_now, v_lost, p_max_attempts, p_lost); END IF;
  PERFORM free_tasks_1(p_now, p_holders);
  DELETE FROM lease_holder WHERE uid IN (
    SELECT h.uid FROM lease_holder AS h WHERE h.uid::text = ANY (p_holders) AND h.seen_at < clock_1(NULL) - 6500
      AND NOT EXISTS (SELECT FROM delivery AS d WHERE d.state = 'running' AND holder_1(d.lease) = h.uid::text)
    ORDER BY h.uid FOR UPDATE SKIP LOCKED
  );
END $$;

-- Ends the leases of tasks that these holders have.
CREATE FUNCTION free_tasks_1(p_now bigint, p_holders text[]) RETURNS void LANGUAGE sql AS $$
  UPDATE task SET due_at = p_now WHERE key IN (
    SELECT key FROM task WHERE ended_at IS NULL AND due_at > p_now AND holder_1(lease) = ANY (p_holders) FOR UPDATE SKIP LOCKED
  )
$$;

-- Gives back what is leased to a holder that does not know of it: under none of these leases, of which it has no answer yet,
-- none of these deliveries, and no lease later than that number. Its attempt is not counted: no handler has it.
CREATE FUNCTION give_back_1(p_now bigint, p_holder uuid, p_last bigint, p_asked text[], p_held bigint[], p_why text)
RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
  v_free bigint[] := ARRAY(
    SELECT key FROM delivery
    WHERE state = 'running' AND holder_1(lease) = p_holder::text AND lease_number_1(lease) <= p_last
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
CREATE FUNCTION leave_1(p_now bigint, p_holder uuid, p_why text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM give_back_1(p_now, p_holder, 9007199254740991, '{}', '{}', p_why);
  PERFORM free_tasks_1(p_now, ARRAY[p_holder::text]);
  DELETE FROM lease_holder WHERE uid = p_holder;
END $$;
