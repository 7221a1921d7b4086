-- The dead-letter list, in order of death: due_at of a dead delivery is when it died.
CREATE INDEX delivery_died ON delivery (due_at) WHERE state = 'dead';
DROP INDEX delivery_dead;
