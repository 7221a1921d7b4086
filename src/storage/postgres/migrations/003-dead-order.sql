-- The dead-letter list, in order of death: due_at of a dead delivery is when it died. Replicas of the release before list by
-- delivery_dead, which goes with them.
CREATE INDEX delivery_died ON delivery (due_at, key) WHERE state = 'dead';
