-- Events in conflict about an id, in order of arrival: `event.variant` is 1.
CREATE INDEX event_in_conflict ON event (source, id) WHERE variant = 1;
