-- Whose word `created_at` is: 'provider' or 'received'. NULL: kept by a release that did not say so.
ALTER TABLE event ADD COLUMN created_at_source TEXT;

-- `variant` is 0 for the first event of its source and id that was understood, 1 for a later one with another body, and from
-- now on 2 for one that was quarantined when it came and has not been understood since: it does not take its id.

-- 1: duplicates of it are known by its body too, whatever their id. NULL: by its id alone.
ALTER TABLE event ADD COLUMN by_body INTEGER;
CREATE INDEX event_by_body ON event (source, checksum) WHERE by_body = 1;
