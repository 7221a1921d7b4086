-- What each process has counted of each source, in each minute and each hour. `source` is empty for the service itself. Each process
-- only writes rows of its own, again and again while the period lasts: there is room for the new version on the same page.
CREATE TABLE stat (
  span    text   NOT NULL,
  at      bigint NOT NULL,
  source  text   NOT NULL,
  writer  text   NOT NULL,
  numbers text   NOT NULL,
  PRIMARY KEY (span, at, source, writer)
) WITH (fillfactor = 70);

-- States of sources that are told once when they begin and once when they end.
CREATE TABLE episode (
  kind   text   NOT NULL,
  source text   NOT NULL,
  since  bigint NOT NULL,
  PRIMARY KEY (kind, source)
);
