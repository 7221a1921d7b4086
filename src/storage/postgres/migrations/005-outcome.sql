-- The events of an outcome in order of arrival: by the deliveries that give it to them. For dead ones there is delivery_dead.
CREATE INDEX delivery_failing ON delivery (key) WHERE state = 'pending' AND attempts > 0;
