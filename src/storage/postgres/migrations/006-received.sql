-- Of a webhook: the address that it came from, and which of its source's secrets verified it, as `1/2`: see domain/event.ts. Replicas of
-- the release before record neither.
ALTER TABLE event ADD COLUMN received_from text;
ALTER TABLE event ADD COLUMN verified_by text COLLATE "C";

-- As append_4, with `received_from` and `verified_by`.
CREATE FUNCTION append_6(
  p_now bigint, p_local_now bigint, p_count integer, p_ends boolean, p_lease text, p_events json, p_bodies bytea
) RETURNS TABLE (
  n integer, outcome text, uid uuid, task_uid uuid, task_source text, task_id text, task_status text, task_by text,
  leased_key bigint, dead text
) LANGUAGE plpgsql AS $$
DECLARE
  v_now bigint := clock_1(p_now);
  v_keys bigint[] := ARRAY(SELECT nextval('event_key_seq') FROM generate_series(1, p_count));
  v_first bigint[];
  v_offset integer := 0;
  v_pending integer := 0;
  v_running integer := 0;
  v_leased bigint[];
  v_ordered bigint[] := '{}';
  v_rows integer;
  v_key bigint;
  v_status text;
  v_checksum bytea;
  v_variant smallint;
  v_outcome text;
  v_known bigint;
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

  -- The common case, at once: who comes second waits here until the first has committed, and then finds it known. An event
  -- that may turn out not to take its id goes its own way below.
  WITH kept AS (
    INSERT INTO event_key (source, id, variant, event)
    SELECT x.source, x.id, '', v_keys[x.n]
    FROM json_to_recordset(p_events) AS x (n integer, source text, id text, status text, asked_uid uuid, by_body smallint)
    WHERE x.asked_uid IS NULL AND x.status <> 'quarantined' AND x.by_body IS NULL ORDER BY x.source, x.id, x.n
    ON CONFLICT DO NOTHING RETURNING event_key.event
  ) SELECT array_agg(kept.event) INTO v_first FROM kept;

  FOR e IN SELECT * FROM json_to_recordset(p_events) AS x (
    n integer, uid uuid, source text, provider text, id text, type text, created_at text, received_at bigint, origin text,
    status text, reasons text, task text, api_version text, headers text, traceparent text, size integer, checksum text,
    handlers json, task_end text, task_word text, asked_uid uuid, asked_lease text, asked_by text,
    asked_word text, asked_error text, leased json, lease_ms bigint, leases_ms json, created_at_source text, by_body smallint,
    order_keys json, order_text text, received_from text, verified_by text
  ) LOOP
    v_key := v_keys[e.n];
    v_offset := v_offset + e.size;
    v_status := e.status;
    v_checksum := decode(e.checksum, 'hex');
    v_variant := CASE e.status WHEN 'quarantined' THEN 2 ELSE 0 END;
    v_ends := false;
    v_superseded := false;
    IF e.asked_uid IS NOT NULL THEN
      SELECT * INTO t FROM task WHERE task.uid = e.asked_uid AND task.lease = e.asked_lease AND task.ended_at IS NULL;
      IF e.task_end IS NULL OR t.key IS NULL THEN
        RETURN QUERY SELECT e.n, 'fenced', e.uid, NULL::uuid, NULL, NULL, NULL, NULL, NULL::bigint, NULL::text;
        CONTINUE;
      END IF;
      v_ends := true;
      -- By its lease it is known, whatever webhooks call themselves.
      INSERT INTO event_key
      VALUES (e.source, e.id, CASE e.status WHEN 'quarantined' THEN 'q'::bytea || v_checksum ELSE '' END, v_key)
      ON CONFLICT DO NOTHING;
    ELSE
      IF e.task_end IS NOT NULL AND e.task IS NOT NULL THEN
        SELECT * INTO t FROM task WHERE task.source = e.source AND task.id = e.task;
        v_ends := t.key IS NOT NULL AND t.ended_at IS NULL;
        v_superseded := t.ended_at IS NOT NULL AND t.event IS NOT NULL;
      END IF;
      IF v_first IS NULL OR NOT v_key = ANY (v_first) THEN
        SELECT f.variant, f.outcome, f.known INTO v_variant, v_outcome, v_known
        FROM identify_3(v_key, e.source, e.id, v_checksum, e.status <> 'quarantined', e.by_body IS NOT NULL) AS f;
      END IF;
      IF v_variant IS NULL THEN
        RETURN QUERY SELECT e.n, v_outcome, x.uid, NULL::uuid, NULL, NULL, NULL, NULL, NULL::bigint, (
          SELECT json_agg(d.handler ORDER BY d.key)::text FROM delivery AS d
          WHERE v_outcome = 'duplicate' AND d.key BETWEEN x.key * 1024 AND x.key * 1024 + 1023 AND d.state = 'dead'
        ) FROM event AS x WHERE x.key = v_known;
        IF NOT FOUND THEN
          RAISE EXCEPTION 'an event was forgotten while its duplicate arrived' USING ERRCODE = 'serialization_failure';
        END IF;
        CONTINUE;
      END IF;
      IF v_variant = 1 THEN
        v_status := 'conflict';
      ELSIF v_superseded THEN
        v_status := 'superseded';
      END IF;
    END IF;

    INSERT INTO event VALUES (v_key, e.uid, e.source, e.provider, e.id, v_variant,
      e.type, e.created_at, e.received_at, e.origin, v_status, e.reasons, e.task, e.api_version, v_checksum,
      e.size, e.task_end, e.task_word, e.created_at_source, CASE WHEN v_variant <> 1 THEN e.by_body END,
      CASE WHEN v_variant = 1 THEN e.order_text END, e.received_from, e.verified_by);
    INSERT INTO event_body VALUES (day_1(e.received_at), v_key, e.headers, e.traceparent,
      substring(p_bodies FROM v_offset - e.size + 1 FOR e.size));
    IF v_status = 'conflict' OR v_status = 'superseded' THEN
      RETURN QUERY SELECT e.n, v_status, e.uid, NULL::uuid, NULL, NULL, NULL, NULL, NULL::bigint, NULL::text;
      CONTINUE;
    END IF;
    v_leased := '{}';
    IF e.leased IS NOT NULL THEN
      v_leased := ARRAY(SELECT l.place::bigint FROM json_array_elements_text(e.leased) AS l (place));
    END IF;
    IF e.handlers IS NOT NULL THEN
      INSERT INTO delivery (key, handler, state, due_at, attempts, isolated, lease, lease_until, started_at, order_key)
      SELECT v_key * 1024 + h.at - 1, h.name, CASE WHEN o.order_key IS NULL THEN l.state ELSE 'unplaced' END, v_now + e.received_at - p_local_now, l.attempts, false, l.lease,
        CASE
          WHEN e.leases_ms IS NULL THEN l.lease_until
          WHEN l.lease IS NOT NULL THEN v_now + (e.leases_ms ->> (array_position(v_leased, h.at - 1) - 1))::bigint
        END, l.started_at, o.order_key
      FROM json_array_elements_text(e.handlers) WITH ORDINALITY AS h (name, at)
      JOIN (VALUES
        (false, 'pending', 0, NULL::text, NULL::bigint, NULL::bigint),
        (true, 'running', 1, p_lease, v_now + e.lease_ms, v_now)
      ) AS l (is_leased, state, attempts, lease, lease_until, started_at) ON l.is_leased = (h.at - 1 = ANY (v_leased))
      CROSS JOIN LATERAL (SELECT (e.order_keys ->> (h.at - 1)::integer)::bigint) AS o (order_key);
      GET DIAGNOSTICS v_rows = ROW_COUNT;
      v_pending := v_pending + v_rows - cardinality(v_leased);
      v_running := v_running + cardinality(v_leased);
      IF e.order_keys IS NOT NULL THEN v_ordered := v_ordered || v_key; END IF;
    END IF;
    IF v_ends THEN
      -- What had kept it from ending stays with one that expired, and so does the provider's last word.
      PERFORM end_task_1(t, v_now + e.received_at - p_local_now, e.task_end,
        CASE e.asked_by WHEN 'expiry' THEN e.asked_word ELSE coalesce(e.task_word, e.task_end) END,
        coalesce(e.asked_by, 'webhook'), e.uid,
        coalesce(e.asked_error, CASE e.asked_by WHEN 'expiry' THEN t.last_error END));
      RETURN QUERY SELECT e.n, 'accepted', e.uid, t.uid, t.source, t.id, e.task_end, coalesce(e.asked_by, 'webhook'),
        CASE WHEN v_leased <> '{}' THEN v_key END, NULL::text;
    ELSIF v_leased <> '{}' THEN
      RETURN QUERY SELECT e.n, 'accepted', e.uid, NULL::uuid, NULL, NULL, NULL, NULL, v_key, NULL::text;
    END IF;
  END LOOP;
  IF v_ordered <> '{}' THEN
    PERFORM became_unplaced_1(ARRAY(
      SELECT d.key FROM unnest(v_ordered) AS o (event)
      CROSS JOIN LATERAL (SELECT q.key FROM delivery AS q WHERE q.key BETWEEN o.event * 1024 AND o.event * 1024 + 1023) AS d
    ));
  END IF;
  -- Also where it adds nothing: only a transaction that writes waits at its commit until all before it are safe, and the
  -- first one of a duplicate may be on its way to a standby yet.
  INSERT INTO tally VALUES ('pending', v_pending);
  IF v_running > 0 THEN INSERT INTO tally VALUES ('running', v_running); END IF;
END $$;

-- As append_6. `p_values`: the values of the events to be indexed.
CREATE FUNCTION append_indexed_2(
  p_now bigint, p_local_now bigint, p_count integer, p_ends boolean, p_lease text, p_events json, p_bodies bytea, p_values json
) RETURNS TABLE (
  n integer, outcome text, uid uuid, task_uid uuid, task_source text, task_id text, task_status text, task_by text,
  leased_key bigint, dead text
) LANGUAGE plpgsql AS $$
BEGIN
  RETURN QUERY SELECT * FROM append_6(p_now, p_local_now, p_count, p_ends, p_lease, p_events, p_bodies);
  INSERT INTO payload_value (path, value, event)
  SELECT p.id, v.value, e.key FROM json_to_recordset(p_values) AS v (uid uuid, source text, path text, value text)
  JOIN payload_path AS p ON p.source = v.source AND p.path = v.path
  JOIN event AS e ON e.uid = v.uid
  ON CONFLICT DO NOTHING;
END $$;
