-- The queues of a source's tasks: what is to be asked for, apart by whether it has failed since its last answer, and what is
-- past its deadline. See 003-queue.sql.
CREATE FUNCTION task_queue_1(source text, failures integer) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN failures > 0 THEN 'failed:' ELSE 'sound:' END || source
$$;

CREATE FUNCTION place_task_1() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  v_path text := current_setting('search_path');
  v_floor bigint;
BEGIN
  -- By hand, it may be done from elsewhere.
  PERFORM set_config('search_path', quote_ident(TG_TABLE_SCHEMA), true);
  v_floor := floor_1();
  INSERT INTO late_entry
  SELECT q.name, q.at, NEW.key FROM (
    VALUES (task_queue_1(NEW.source, NEW.failures), NEW.due_at), ('expiring:' || NEW.source, NEW.expires_at)
  ) AS q (name, at) WHERE q.at < v_floor
  ON CONFLICT DO NOTHING;
  PERFORM set_config('search_path', v_path, true);
  RETURN NULL;
END $$;
CREATE TRIGGER placed AFTER INSERT OR UPDATE ON task FOR EACH ROW WHEN (NEW.ended_at IS NULL) EXECUTE FUNCTION place_task_1();

-- Leases tasks of a source: those past their deadline (`kind` 1), those due to be asked for that have not failed (2), and those
-- that have (3), which get `p_failed` places of those at least. Every index but the one in the right order leads over what is done.
CREATE FUNCTION claim_tasks_3(
  p_now bigint, p_source text, p_expired integer, p_stale integer, p_lease text, p_lease_ms bigint, p_failed integer
) RETURNS TABLE (claimed task, held_before text, kind integer, at bigint, now_at bigint, deadline_at bigint) LANGUAGE plpgsql SET enable_sort = off AS $$
DECLARE
  v_now bigint := clock_1(p_now);
  v_deadline bigint := deadline_time_1(v_now);
  v_closed bigint := advance_floor_1(v_now);
  v_queues text[] := ARRAY['expiring:' || p_source, task_queue_1(p_source, 0), task_queue_1(p_source, 1)];
  v_late late_entry[] := late_1(v_queues);
  v_start record;
  v_ats bigint[];
  v_keys bigint[];
BEGIN
  SELECT * INTO v_start FROM starts_1(v_queues, v_closed);
  RETURN QUERY
    WITH expired AS (
      SELECT t.key, t.lease, 1 AS kind, t.expires_at AS at FROM task AS t
      WHERE t.source = p_source AND (t.expires_at, t.key) >= (v_start.ats[1], v_start.keys[1]) AND t.expires_at <= v_deadline
        AND t.ended_at IS NULL AND (t.lease IS NULL OR t.due_at <= v_now)
      ORDER BY t.expires_at, t.key LIMIT p_expired FOR UPDATE SKIP LOCKED
    ),
    sound AS (
      SELECT t.key, t.lease, t.due_at AS at FROM task AS t
      WHERE t.source = p_source AND (t.due_at, t.key) >= (v_start.ats[2], v_start.keys[2]) AND t.due_at <= v_now
        AND t.ended_at IS NULL AND t.failures = 0 AND t.expires_at > v_deadline
      ORDER BY t.due_at, t.key LIMIT p_stale FOR UPDATE SKIP LOCKED
    ),
    failed AS (
      SELECT t.key, t.lease, t.due_at AS at FROM task AS t
      WHERE t.source = p_source AND (t.due_at, t.key) >= (v_start.ats[3], v_start.keys[3]) AND t.due_at <= v_now
        AND t.ended_at IS NULL AND t.failures > 0 AND t.expires_at > v_deadline
      ORDER BY t.due_at, t.key LIMIT least(p_stale, greatest(p_failed, p_stale - (SELECT count(*) FROM sound))) FOR UPDATE SKIP LOCKED
    ),
    due AS (
      (SELECT s.key, s.lease, 2 AS kind, s.at FROM sound AS s ORDER BY s.at, s.key LIMIT p_stale - (SELECT count(*) FROM failed))
      UNION ALL
      SELECT f.key, f.lease, 3, f.at FROM failed AS f
    ),
    taken AS (
      UPDATE task AS t SET lease = p_lease, due_at = v_now + p_lease_ms
      FROM (SELECT * FROM expired UNION ALL SELECT * FROM due) AS free WHERE t.key = free.key
      RETURNING t AS claimed, free.lease AS held_before, free.kind, free.at
    )
    SELECT k.claimed, k.held_before, k.kind, k.at, v_now, v_deadline FROM taken AS k ORDER BY k.kind, k.at, (k.claimed).key;

  SELECT array_agg(coalesce(f.at, v_closed) ORDER BY q.n), array_agg(coalesce(f.key, -9007199254740991) ORDER BY q.n)
  INTO v_ats, v_keys
  FROM generate_series(1, 3) AS q (n) LEFT JOIN LATERAL (
    (
      SELECT t.expires_at, t.key FROM task AS t
      WHERE q.n = 1 AND t.source = p_source AND (t.expires_at, t.key) >= (v_start.ats[1], v_start.keys[1])
        AND t.expires_at < v_closed AND t.ended_at IS NULL ORDER BY t.expires_at, t.key LIMIT 1
    )
    UNION ALL (
      SELECT t.due_at, t.key FROM task AS t
      WHERE q.n = 2 AND t.source = p_source AND (t.due_at, t.key) >= (v_start.ats[2], v_start.keys[2])
        AND t.due_at < v_closed AND t.ended_at IS NULL AND t.failures = 0 ORDER BY t.due_at, t.key LIMIT 1
    )
    UNION ALL (
      SELECT t.due_at, t.key FROM task AS t
      WHERE q.n = 3 AND t.source = p_source AND (t.due_at, t.key) >= (v_start.ats[3], v_start.keys[3])
        AND t.due_at < v_closed AND t.ended_at IS NULL AND t.failures > 0 ORDER BY t.due_at, t.key LIMIT 1
    )
  ) AS f (at, key) ON true;
  PERFORM saw_1(v_now, v_queues, v_ats, v_keys, v_late);
END $$;
