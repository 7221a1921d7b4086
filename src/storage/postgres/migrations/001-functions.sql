-- What has to be one statement: a batch of events, a claim. Each is one round trip and one transaction,
-- and each statement within sees what others have committed by then, which a single statement with many parts would not.
-- A function is never changed once released: another version gets another name, so that replicas of two releases can work
-- side by side.

-- The database's clock, or the time that a test gives in its place.
CREATE FUNCTION clock_1(given bigint) RETURNS bigint LANGUAGE sql VOLATILE AS $$
  SELECT coalesce(given, floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint)
$$;

CREATE FUNCTION day_1(at_ms bigint) RETURNS date LANGUAGE sql IMMUTABLE AS $$
  SELECT date '1970-01-01' + floor(at_ms / 86400000.0)::integer
$$;

-- Locks an end of a task against its beginning, which may not see each other's rows yet.
CREATE FUNCTION task_lock_1(source text, id text) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
  SELECT hashtextextended(source || chr(10) || id, 7031)
$$;

-- The only place where tasks become terminal.
CREATE FUNCTION end_task_1(
  t task, p_now bigint, p_status text, p_word text, p_by text, p_event uuid, p_error text
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  UPDATE task SET status = p_status, word = coalesce(p_word, word), ended_at = p_now, resolved_by = p_by, event = p_event,
    last_error = p_error, polls = polls + (CASE WHEN p_by = 'poll' THEN 1 ELSE 0 END), request = NULL, lease = NULL
  WHERE key = t.key;
  INSERT INTO tally VALUES ('task:' || t.status, -1), ('task:' || p_status, 1);
END $$;

-- Keeps a batch of events. `p_events`: a JSON array of rows in order of arrival, without their bodies, which follow each
-- other in `p_bodies`. Gives a row for each event that was not simply accepted, and for each that ended a task.
CREATE FUNCTION append_1(p_now bigint, p_local_now bigint, p_count integer, p_ends boolean, p_events json, p_bodies bytea)
RETURNS TABLE (
  n integer, outcome text, uid uuid, task_uid uuid, task_source text, task_id text, task_status text, task_by text
) LANGUAGE plpgsql AS $$
DECLARE
  v_now bigint := clock_1(p_now);
  v_keys bigint[] := ARRAY(SELECT nextval('event_key_seq') FROM generate_series(1, p_count));
  v_first bigint[];
  v_offset integer := 0;
  v_pending integer := 0;
  v_rows integer;
  v_key bigint;
  v_status text;
  v_known record;
  v_ends boolean;
  v_superseded boolean;
  t task;
  e record;
BEGIN
  IF p_ends THEN
    -- In one order everywhere, as all that is locked here.
    PERFORM pg_advisory_xact_lock(lock) FROM (
      SELECT DISTINCT task_lock_1(x.source, x.task) AS lock
      FROM json_to_recordset(p_events) AS x (source text, task text, task_end text, asked_uid uuid)
      WHERE x.task_end IS NOT NULL AND x.asked_uid IS NULL AND x.task IS NOT NULL ORDER BY lock
    ) AS locks;
    PERFORM 1 FROM task WHERE task.key IN (
      SELECT k.key FROM json_to_recordset(p_events) AS x (asked_uid uuid) JOIN task AS k ON k.uid = x.asked_uid
      UNION
      SELECT k.key FROM json_to_recordset(p_events) AS x (source text, task text, task_end text, asked_uid uuid)
      JOIN task AS k ON k.source = x.source AND k.id = x.task
      WHERE x.task_end IS NOT NULL AND x.asked_uid IS NULL
    ) ORDER BY task.key FOR UPDATE;
  END IF;

  -- Whoever comes second waits here until the first has committed, and then finds it known.
  WITH kept AS (
    INSERT INTO event_key (source, id, variant, event)
    SELECT x.source, x.id, '', v_keys[x.n]
    FROM json_to_recordset(p_events) AS x (n integer, source text, id text, asked_uid uuid)
    WHERE x.asked_uid IS NULL ORDER BY x.source, x.id, x.n
    ON CONFLICT DO NOTHING RETURNING event_key.event
  ) SELECT array_agg(kept.event) INTO v_first FROM kept;

  FOR e IN SELECT * FROM json_to_recordset(p_events) AS x (
    n integer, uid uuid, source text, provider text, id text, type text, created_at text, received_at bigint, origin text,
    status text, reasons text, task text, api_version text, headers text, traceparent text, size integer, checksum text,
    handlers json, task_end text, task_word text, asked_uid uuid, asked_lease text, asked_by text
  ) LOOP
    v_key := v_keys[e.n];
    v_offset := v_offset + e.size;
    v_status := e.status;
    v_ends := false;
    v_superseded := false;
    IF e.asked_uid IS NOT NULL THEN
      SELECT * INTO t FROM task WHERE task.uid = e.asked_uid AND task.lease = e.asked_lease AND task.ended_at IS NULL;
      IF e.task_end IS NULL OR t.key IS NULL THEN
        RETURN QUERY SELECT e.n, 'fenced', e.uid, NULL::uuid, NULL, NULL, NULL, NULL;
        CONTINUE;
      END IF;
      v_ends := true;
      -- By its lease it is known, whatever webhooks call themselves.
      INSERT INTO event_key VALUES (e.source, e.id, '', v_key) ON CONFLICT DO NOTHING;
    ELSE
      IF e.task_end IS NOT NULL AND e.task IS NOT NULL THEN
        SELECT * INTO t FROM task WHERE task.source = e.source AND task.id = e.task;
        v_ends := t.key IS NOT NULL AND t.ended_at IS NULL;
        v_superseded := t.ended_at IS NOT NULL AND t.event IS NOT NULL;
      END IF;
      IF v_first IS NULL OR NOT v_key = ANY (v_first) THEN
        SELECT event.uid, event.checksum INTO v_known FROM event_key AS k JOIN event ON event.key = k.event
        WHERE k.source = e.source AND k.id = e.id AND k.variant = '';
        IF v_known.uid IS NULL THEN
          RAISE EXCEPTION 'an event was forgotten while its duplicate arrived' USING ERRCODE = 'serialization_failure';
        END IF;
        IF v_known.checksum = decode(e.checksum, 'hex') THEN
          RETURN QUERY SELECT e.n, 'duplicate', v_known.uid, NULL::uuid, NULL, NULL, NULL, NULL;
          CONTINUE;
        END IF;
        v_status := 'conflict';
        INSERT INTO event_key VALUES (e.source, e.id, decode(e.checksum, 'hex'), v_key) ON CONFLICT DO NOTHING;
        GET DIAGNOSTICS v_rows = ROW_COUNT;
        IF v_rows = 0 THEN
          SELECT event.uid INTO v_known FROM event_key AS k JOIN event ON event.key = k.event
          WHERE k.source = e.source AND k.id = e.id AND k.variant = decode(e.checksum, 'hex');
          IF v_known.uid IS NULL THEN
            RAISE EXCEPTION 'an event was forgotten while its duplicate arrived' USING ERRCODE = 'serialization_failure';
          END IF;
          RETURN QUERY SELECT e.n, 'conflict', v_known.uid, NULL::uuid, NULL, NULL, NULL, NULL;
          CONTINUE;
        END IF;
      ELSIF v_superseded THEN
        v_status := 'superseded';
      END IF;
    END IF;

    INSERT INTO event VALUES (v_key, e.uid, e.source, e.provider, e.id, CASE v_status WHEN 'conflict' THEN 1 ELSE 0 END,
      e.type, e.created_at, e.received_at, e.origin, v_status, e.reasons, e.task, e.api_version, decode(e.checksum, 'hex'),
      e.size, e.task_end, e.task_word);
    INSERT INTO event_body VALUES (day_1(e.received_at), v_key, e.headers, e.traceparent,
      substring(p_bodies FROM v_offset - e.size + 1 FOR e.size));
    IF v_status = 'conflict' OR v_status = 'superseded' THEN
      RETURN QUERY SELECT e.n, v_status, e.uid, NULL::uuid, NULL, NULL, NULL, NULL;
      CONTINUE;
    END IF;
    IF e.handlers IS NOT NULL THEN
      INSERT INTO delivery (key, handler, state, due_at, attempts, isolated)
      SELECT v_key * 1024 + h.at - 1, h.name, 'pending', v_now + e.received_at - p_local_now, 0, false
      FROM json_array_elements_text(e.handlers) WITH ORDINALITY AS h (name, at);
      GET DIAGNOSTICS v_rows = ROW_COUNT;
      v_pending := v_pending + v_rows;
    END IF;
    IF v_ends THEN
      PERFORM end_task_1(t, v_now + e.received_at - p_local_now, e.task_end, coalesce(e.task_word, e.task_end), coalesce(e.asked_by, 'webhook'), e.uid,
        CASE e.asked_by WHEN 'expiry' THEN t.last_error END);
      RETURN QUERY SELECT e.n, 'accepted', e.uid, t.uid, t.source, t.id, e.task_end, coalesce(e.asked_by, 'webhook');
    END IF;
  END LOOP;
  -- Also where it adds nothing: only a transaction that writes waits at its commit until all before it are safe, and the
  -- first one of a duplicate may be on its way to a standby yet.
  INSERT INTO tally VALUES ('pending', v_pending);
END $$;

-- Where an attempt stands in its delivery's history.
CREATE FUNCTION next_ordinal_1(p_delivery bigint) RETURNS integer LANGUAGE sql STABLE AS $$
  SELECT 1 + coalesce(max(ordinal), 0) FROM attempt WHERE delivery = p_delivery
$$;

-- Takes back deliveries whose lease ran out: the attempt is in their history as lost, and they are pending, to run isolated,
-- or dead where no attempt is left.
CREATE FUNCTION take_back_1(p_now bigint, p_from bigint, p_max_attempts integer, p_lost text) RETURNS void LANGUAGE sql AS $$
  WITH lost AS MATERIALIZED (
    SELECT key, attempts, started_at, CASE WHEN attempts >= p_max_attempts THEN 'dead' ELSE 'pending' END AS state
    FROM delivery WHERE delivery.state = 'running' AND lease_until BETWEEN p_from AND p_now FOR UPDATE SKIP LOCKED
  ),
  moved AS (
    UPDATE delivery SET state = lost.state, due_at = p_now, isolated = true, last_error = p_lost, lease = NULL,
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

-- When the next pending delivery of these handlers, or a lease, comes due after now.
CREATE FUNCTION next_due_1(p_now bigint, p_handlers text[]) RETURNS bigint LANGUAGE sql STABLE AS $$
  SELECT min(due.at) FROM (
    SELECT (
      SELECT q.due_at FROM delivery AS q
      WHERE q.state = 'pending' AND q.handler = h.name AND q.isolated = k.isolated AND q.due_at > p_now
      ORDER BY q.due_at LIMIT 1
    ) AS at FROM unnest(p_handlers) AS h (name) CROSS JOIN (VALUES (false), (true)) AS k (isolated)
    UNION ALL
    SELECT min(lease_until) FROM delivery WHERE state = 'running' AND lease_until > p_now
  ) AS due
$$;

-- The handlers of what is pending, and when the oldest of each is due. Steps from handler to handler through the index,
-- however much there is of each.
CREATE FUNCTION waiting_1() RETURNS TABLE (handler text, due_at bigint) LANGUAGE sql STABLE AS $$
  WITH RECURSIVE waiting (handler) AS (
    (SELECT q.handler FROM delivery AS q WHERE q.state = 'pending' ORDER BY q.handler LIMIT 1)
    UNION ALL
    SELECT (
      SELECT q.handler FROM delivery AS q WHERE q.state = 'pending' AND q.handler > w.handler ORDER BY q.handler LIMIT 1
    ) FROM waiting AS w WHERE w.handler IS NOT NULL
  )
  SELECT w.handler, (
    SELECT min(q.due_at) FROM (VALUES (false), (true)) AS k (isolated) CROSS JOIN LATERAL (
      SELECT p.due_at FROM delivery AS p
      WHERE p.state = 'pending' AND p.handler = w.handler AND p.isolated = k.isolated ORDER BY p.due_at LIMIT 1
    ) AS q
  ) FROM waiting AS w WHERE w.handler IS NOT NULL
$$;

-- Leases due deliveries. Gives a row for each, and a last one, without a delivery, with the time and what is due next. It
-- looks at nothing that was due, or leased, before the given times: the index still leads over what is done there as long
-- as somebody else reads an old state of the database. Where they are NULL it looks at everything, and gives such times.
CREATE FUNCTION claim_1(
  p_now bigint, p_due_from bigint, p_lease_from bigint, p_others text[], p_handlers json, p_shared integer, p_isolated integer, p_lease text, p_lease_ms bigint,
  p_max_attempts integer, p_lost text, p_exhausted text, p_corrupt text
) RETURNS TABLE (
  delivery bigint, handler text, attempt integer, isolated boolean, uid uuid, source text, provider text, id text,
  type text, received_at bigint, origin text, task text, headers text, traceparent text, bytes bytea, now_at bigint,
  next_due_at bigint, due_from bigint, lease_from bigint, waiting text[]
) LANGUAGE plpgsql AS $$
DECLARE
  v_now bigint := clock_1(p_now);
  v_names text[] := ARRAY(SELECT h.name FROM json_to_recordset(p_handlers) AS h (name text, "limit" integer));
  v_left integer[] := ARRAY(SELECT h."limit" FROM json_to_recordset(p_handlers) AS h (name text, "limit" integer));
  v_room integer[] := ARRAY[p_shared, p_isolated];
  v_kind integer;
  v_taken bigint[] := '{}';
  v_exhausted bigint[];
  v_corrupt bigint[];
  v_dead integer := 0;
  v_turns integer := 0;
  v_is_cut_short boolean := false;
  v_due_from bigint;
  v_lease_from bigint;
  v_others text[] := '{}';
  c record;
BEGIN
  PERFORM take_back_1(v_now, coalesce(p_lease_from, 0), p_max_attempts, p_lost);

  -- The oldest of all handlers first, as far as there is room; again where one turns out not to run, but not without end.
  LOOP
    v_turns := v_turns + 1;
    v_exhausted := '{}';
    FOR c IN
      SELECT h.at, k.isolated, d.key, d.attempts
      FROM unnest(v_names, v_left) WITH ORDINALITY AS h (name, "left", at)
      CROSS JOIN (VALUES (false, v_room[1]), (true, v_room[2])) AS k (isolated, room)
      CROSS JOIN LATERAL (
        SELECT q.key, q.due_at, q.attempts FROM delivery AS q
        WHERE q.state = 'pending' AND q.handler = h.name AND q.isolated = k.isolated
          AND q.due_at BETWEEN coalesce(p_due_from, -9007199254740991) AND v_now AND NOT q.key = ANY (v_taken)
        ORDER BY q.due_at, q.key LIMIT greatest(0, least(h."left", k.room)) FOR UPDATE SKIP LOCKED
      ) AS d
      ORDER BY d.due_at, d.key
    LOOP
      v_kind := CASE WHEN c.isolated THEN 2 ELSE 1 END;
      CONTINUE WHEN v_left[c.at] <= 0 OR v_room[v_kind] <= 0;
      IF c.attempts >= p_max_attempts THEN
        v_exhausted := v_exhausted || c.key;
      ELSE
        v_taken := v_taken || c.key;
        v_left[c.at] := v_left[c.at] - 1;
        v_room[v_kind] := v_room[v_kind] - 1;
      END IF;
    END LOOP;
    EXIT WHEN v_exhausted = '{}';
    v_is_cut_short := v_turns = 100;
    UPDATE delivery AS d SET state = 'dead', due_at = v_now, last_error = coalesce(d.last_error, p_exhausted)
    WHERE d.key = ANY (v_exhausted);
    v_dead := v_dead + cardinality(v_exhausted);
    EXIT WHEN v_is_cut_short;
  END LOOP;

  -- No more than can be handed over in one answer; one always is.
  v_taken := ARRAY(
    SELECT t.key FROM (
      SELECT k.key, k.at, sum(x.size) OVER (ORDER BY k.at) AS bytes
      FROM unnest(v_taken) WITH ORDINALITY AS k (key, at) LEFT JOIN event AS x ON x.key = k.key / 1024
    ) AS t WHERE t.at = 1 OR t.bytes IS NULL OR t.bytes <= 8388608 ORDER BY t.at
  );

  IF v_taken <> '{}' THEN
    v_corrupt := ARRAY(
      SELECT k.key FROM unnest(v_taken) AS k (key) LEFT JOIN event AS x ON x.key = k.key / 1024
      LEFT JOIN event_body AS b ON b.day = day_1(x.received_at) AND b.key = x.key
      WHERE b.bytes IS NULL OR sha256(b.bytes) <> x.checksum
    );
    IF v_corrupt <> '{}' THEN
      INSERT INTO attempt
      SELECT d.key, next_ordinal_1(d.key), d.attempts + 1, 'body_corrupt', p_corrupt, v_now, 0
      FROM delivery AS d WHERE d.key = ANY (v_corrupt);
      UPDATE delivery AS d SET state = 'dead', due_at = v_now, attempts = d.attempts + 1, last_error = p_corrupt
      WHERE d.key = ANY (v_corrupt);
      v_dead := v_dead + cardinality(v_corrupt);
    END IF;
    RETURN QUERY
      WITH leased AS (
        UPDATE delivery AS d SET state = 'running', attempts = d.attempts + 1, lease = p_lease,
          lease_until = v_now + p_lease_ms, started_at = v_now
        FROM unnest(v_taken) WITH ORDINALITY AS k (key, at) WHERE d.key = k.key AND NOT d.key = ANY (v_corrupt)
        RETURNING d.key, d.handler, d.attempts, d.isolated, k.at
      ),
      counted AS (
        INSERT INTO tally SELECT t.state, t.n * count(*) FROM leased
        CROSS JOIN (VALUES ('pending', -1), ('running', 1)) AS t (state, n) GROUP BY t.state, t.n
      )
      SELECT l.key, l.handler, l.attempts, l.isolated, x.uid, x.source, x.provider, x.id, x.type, x.received_at, x.origin,
        x.task, b.headers, b.traceparent, b.bytes, v_now, NULL::bigint, NULL::bigint, NULL::bigint, NULL::text[]
      FROM leased AS l JOIN event AS x ON x.key = l.key / 1024
      JOIN event_body AS b ON b.day = day_1(x.received_at) AND b.key = x.key ORDER BY l.at;
  END IF;

  IF v_dead > 0 THEN INSERT INTO tally VALUES ('pending', -v_dead), ('dead', v_dead); END IF;
  IF p_due_from IS NULL THEN
    SELECT least(min(w.due_at), v_now), array_agg(w.handler) INTO v_due_from, v_others FROM waiting_1() AS w;
    SELECT least(min(d.lease_until), v_now) INTO v_lease_from FROM delivery AS d WHERE d.state = 'running';
  END IF;
  RETURN QUERY SELECT NULL::bigint, NULL, NULL::integer, NULL::boolean, NULL::uuid, NULL, NULL, NULL, NULL, NULL::bigint,
    NULL, NULL, NULL, NULL, NULL::bytea, v_now,
    CASE WHEN v_is_cut_short THEN v_now ELSE next_due_1(v_now, v_names || p_others || v_others) END, v_due_from, v_lease_from,
    v_others;
END $$;
