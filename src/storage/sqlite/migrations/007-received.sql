-- Of a webhook: the address that it came from, and which of its source's secrets verified it, as `1/2`: see domain/event.ts.
ALTER TABLE event ADD COLUMN received_from TEXT;
ALTER TABLE event ADD COLUMN verified_by TEXT;
