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
