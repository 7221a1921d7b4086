-- What retention knows of the database's clock, in the beginning the time of the newest event; see domain/clock-record.ts.
-- At most one row; none: nothing is known yet.
CREATE TABLE clock_record (
  one        boolean PRIMARY KEY DEFAULT true CHECK (one),
  known_at   bigint  NOT NULL,
  looked_at  bigint  NOT NULL,
  -- NULL: the clock is trusted.
  steady_ms  bigint
);
INSERT INTO clock_record (known_at, looked_at)
SELECT max(received_at), max(received_at) FROM event HAVING max(received_at) IS NOT NULL;

-- The time by which deadlines are judged: while the clock is doubted, or has jumped by over a day since the last look, that of the
-- last look at which it was trusted. As deadlineTime in domain/clock-record.ts.
CREATE FUNCTION deadline_time_1(p_now bigint) RETURNS bigint LANGUAGE sql STABLE AS $$
  SELECT coalesce((
    SELECT CASE WHEN steady_ms IS NOT NULL OR p_now > looked_at + 86400000 THEN least(p_now, known_at) END FROM clock_record
  ), p_now)
$$;
