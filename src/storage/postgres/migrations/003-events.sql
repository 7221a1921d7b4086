-- Only adds, so that replicas of the release before work beside this one. They name the columns of `event` that they read,
-- and the values that they insert are those of its first columns.

-- Whose word `created_at` is: 'provider' or 'received'. NULL: kept by a release that did not say so.
ALTER TABLE event ADD COLUMN created_at_source text COLLATE "C";

-- `event.variant` is 0 for the first event of its source and id that was understood (or one that was asked for), 1 for a later
-- one with another body, and from now on 2 for one that was quarantined when it came and has not been understood since: it
-- does not take its id. `event_key.variant` of such an event is the letter q and the SHA-256 of its body.

-- 1: duplicates of it are known by its body too, whatever their id. NULL: by its id alone.
ALTER TABLE event ADD COLUMN by_body smallint;

-- What is known by its body: of each, one that was understood, and one that was not. Replicas of the release before do not
-- delete from it: an entry may lead to an event that is gone.
CREATE TABLE body_key (
  source         text    COLLATE "C" NOT NULL,
  -- SHA-256 of the body.
  checksum       bytea   NOT NULL,
  is_understood  boolean NOT NULL,
  event          bigint  NOT NULL,
  PRIMARY KEY (source, checksum, is_understood)
);
