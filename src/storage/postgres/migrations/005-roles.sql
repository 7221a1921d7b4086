-- Which part of the work a process does; NULL: a process of an older release, which does not tell.
ALTER TABLE replica ADD COLUMN role text;
