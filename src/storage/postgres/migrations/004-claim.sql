-- As claim_3, and handlers may have limits of their own. `p_own`: a JSON array of {handler, lease_ms, max_attempts}, each handler at most
-- once; NULL if no handler has any. A limit that is absent is that of all others. `ordered`: the delivery has an order key.
CREATE FUNCTION claim_4(
  p_now bigint, p_handlers json, p_shared integer, p_isolated integer, p_lease text, p_lease_ms bigint,
  p_max_attempts integer, p_lost text, p_exhausted text, p_corrupt text, p_holder uuid, p_says boolean, p_own json
) RETURNS TABLE (
  delivery bigint, handler text, attempt integer, isolated boolean, uid uuid, source text, provider text, id text,
  type text, received_at bigint, origin text, task text, headers text, traceparent text, bytes bytea, now_at bigint,
  next_due_at bigint, ordered boolean
) LANGUAGE plpgsql AS $$
DECLARE
  v_now bigint := clock_1(p_now);
  v_names text[] := ARRAY(SELECT h.name FROM json_to_recordset(p_handlers) AS h (name text));
  v_left integer[] := ARRAY(SELECT h."limit" FROM json_to_recordset(p_handlers) AS h ("limit" integer));
  v_running integer[] := ARRAY(SELECT coalesce(h.running, 0) FROM json_to_recordset(p_handlers) AS h (running integer));
  v_room integer[] := ARRAY[p_shared, p_isolated];
  -- The most attempts of each handler; NULL: those of all others.
  v_most integer[] := CASE WHEN p_own IS NOT NULL THEN ARRAY(
    SELECT o.max_attempts FROM unnest(v_names) WITH ORDINALITY AS h (name, at)
    LEFT JOIN json_to_recordset(p_own) AS o (handler text, max_attempts integer) ON o.handler = h.name ORDER BY h.at
  ) END;
  -- What is due, queue after queue: two for each handler, of what may share a process and of what runs isolated.
  v_keys bigint[];
  v_dues bigint[];
  v_tries integer[];
  v_head integer[];
  v_tail integer[];
  v_has_more boolean[];
  v_queues integer := 2 * cardinality(v_names);
  v_best integer;
  v_at integer;
  v_kind integer;
  v_key bigint;
  v_is_short boolean;
  v_taken bigint[] := '{}';
  v_exhausted bigint[];
  v_corrupt bigint[];
  v_dead integer := 0;
  v_turns integer := 0;
  v_is_cut_short boolean := false;
  -- Before anything is read.
  v_closed bigint := advance_floor_1(v_now);
  v_late late_entry[];
  v_ats bigint[];
  v_places bigint[];
  c record;
BEGIN
  PERFORM take_back_4(v_now, p_now IS NOT NULL, v_closed, p_max_attempts, p_own, p_lost);
  IF p_holder IS NOT NULL THEN
    PERFORM take_back_from_4(v_now, v_closed, alive_1(p_holder, p_says), p_max_attempts, p_own, p_lost);
  END IF;
  v_late := late_1(pending_queues_1(v_names));
  SELECT s.ats, s.keys INTO v_ats, v_places FROM starts_1(pending_queues_1(v_names), v_closed) AS s;

  -- One after the other, each of the handler of which the fewest run; again where a queue ends early since of what is in it
  -- some turns out not to run, but not without end.
  LOOP
    v_turns := v_turns + 1;
    v_exhausted := '{}';
    v_is_short := false;
    v_keys := '{}';
    v_dues := '{}';
    v_tries := '{}';
    v_head := array_fill(1, ARRAY[v_queues]);
    v_tail := array_fill(0, ARRAY[v_queues]);
    v_has_more := array_fill(false, ARRAY[v_queues]);
    FOR c IN
      SELECT h.at * 2 - 2 + k.kind AS queue, d.keys, d.dues, d.tries, cardinality(d.keys) >= least(h."left", v_room[k.kind]) AS has_more
      FROM unnest(v_names, v_left) WITH ORDINALITY AS h (name, "left", at) CROSS JOIN (VALUES (1), (2)) AS k (kind)
      CROSS JOIN LATERAL (
        SELECT array_agg(l.key ORDER BY l.due_at, l.key) AS keys, array_agg(l.due_at ORDER BY l.due_at, l.key) AS dues,
          array_agg(l.attempts ORDER BY l.due_at, l.key) AS tries
        FROM (
          SELECT q.key, q.due_at, q.attempts FROM delivery AS q
          WHERE q.state = 'pending' AND q.handler = h.name AND q.isolated = (k.kind = 2)
            AND (q.due_at, q.key) >= (v_ats[h.at * 2 - 2 + k.kind], v_places[h.at * 2 - 2 + k.kind])
            AND q.due_at <= v_now AND NOT q.key = ANY (v_taken)
          ORDER BY q.due_at, q.key LIMIT greatest(0, least(h."left", v_room[k.kind])) FOR UPDATE SKIP LOCKED
        ) AS l
      ) AS d WHERE d.keys IS NOT NULL
    LOOP
      v_head[c.queue] := cardinality(v_keys) + 1;
      v_keys := v_keys || c.keys;
      v_dues := v_dues || c.dues;
      v_tries := v_tries || c.tries;
      v_tail[c.queue] := cardinality(v_keys);
      v_has_more[c.queue] := c.has_more;
    END LOOP;
    LOOP
      v_best := NULL;
      FOR v_queue IN 1..v_queues LOOP
        v_at := (v_queue + 1) / 2;
        CONTINUE WHEN v_left[v_at] <= 0 OR v_room[2 - v_queue % 2] <= 0;
        IF v_head[v_queue] > v_tail[v_queue] THEN
          v_is_short := v_is_short OR v_has_more[v_queue];
        ELSIF v_best IS NULL OR
          (v_running[v_at], v_dues[v_head[v_queue]], v_keys[v_head[v_queue]])
          < (v_running[(v_best + 1) / 2], v_dues[v_head[v_best]], v_keys[v_head[v_best]]) THEN
          v_best := v_queue;
        END IF;
      END LOOP;
      EXIT WHEN v_best IS NULL OR v_is_short;
      v_at := (v_best + 1) / 2;
      v_kind := 2 - v_best % 2;
      v_key := v_keys[v_head[v_best]];
      IF v_tries[v_head[v_best]] >= coalesce(v_most[v_at], p_max_attempts) THEN
        v_exhausted := v_exhausted || v_key;
      ELSE
        v_taken := v_taken || v_key;
        v_left[v_at] := v_left[v_at] - 1;
        v_running[v_at] := v_running[v_at] + 1;
        v_room[v_kind] := v_room[v_kind] - 1;
      END IF;
      v_head[v_best] := v_head[v_best] + 1;
    END LOOP;
    EXIT WHEN v_exhausted = '{}';
    UPDATE delivery AS d SET state = 'dead', due_at = v_now, last_error = coalesce(d.last_error, p_exhausted)
    WHERE d.key = ANY (v_exhausted);
    v_dead := v_dead + cardinality(v_exhausted);
    v_is_cut_short := v_is_short AND v_turns = 100;
    EXIT WHEN v_is_cut_short OR NOT v_is_short;
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
          lease_until = v_now + CASE WHEN p_own IS NULL THEN p_lease_ms ELSE coalesce((
            SELECT o.lease_ms FROM json_to_recordset(p_own) AS o (handler text, lease_ms bigint) WHERE o.handler = d.handler
          ), p_lease_ms) END, started_at = v_now
        FROM unnest(v_taken) WITH ORDINALITY AS k (key, at) WHERE d.key = k.key AND NOT d.key = ANY (v_corrupt)
        RETURNING d.key, d.handler, d.attempts, d.isolated, d.order_key IS NOT NULL AS ordered, k.at
      ),
      counted AS (
        INSERT INTO tally SELECT t.state, t.n * count(*) FROM leased
        CROSS JOIN (VALUES ('pending', -1), ('running', 1)) AS t (state, n) GROUP BY t.state, t.n
      )
      SELECT l.key, l.handler, l.attempts, l.isolated, x.uid, x.source, x.provider, x.id, x.type, x.received_at, x.origin,
        x.task, b.headers, b.traceparent, b.bytes, v_now, NULL::bigint, l.ordered
      FROM leased AS l JOIN event AS x ON x.key = l.key / 1024
      JOIN event_body AS b ON b.day = day_1(x.received_at) AND b.key = x.key ORDER BY l.at;
  END IF;

  IF v_dead > 0 THEN INSERT INTO tally VALUES ('pending', -v_dead), ('dead', v_dead); END IF;
  PERFORM saw_pending_1(v_now, v_closed, v_names, v_ats, v_places, v_late);
  RETURN QUERY SELECT NULL::bigint, NULL, NULL::integer, NULL::boolean, NULL::uuid, NULL, NULL, NULL, NULL, NULL::bigint,
    NULL, NULL, NULL, NULL, NULL::bytea, v_now, CASE WHEN v_is_cut_short THEN v_now ELSE next_due_2(v_now, v_names) END,
    NULL::boolean;
END $$;
