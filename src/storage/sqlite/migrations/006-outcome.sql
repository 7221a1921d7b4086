-- The events of an outcome in order of arrival: by the deliveries that give it to them.
CREATE INDEX delivery_dead ON delivery (key) WHERE state = 'dead';
CREATE INDEX delivery_failing ON delivery (key) WHERE state = 'pending' AND attempts > 0;
