-- The latest time that retention has known the clock to be right at, in the beginning that of the newest event; see
-- domain/clock-record.ts. Absent: there is none yet.
INSERT INTO watermark SELECT 'clock_known', max(received_at) FROM event HAVING max(received_at) IS NOT NULL;
