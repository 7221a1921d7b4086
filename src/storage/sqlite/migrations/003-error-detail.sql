-- JSON object: all that is known of what was thrown. NULL: nothing was, or nothing more than `error`.
ALTER TABLE attempt ADD COLUMN detail TEXT;
