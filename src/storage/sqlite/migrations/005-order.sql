-- The deliveries to one handler with one `order_key` run one after another. `state` is 'blocked' as long as the delivery waits for its
-- turn; it counts as pending, in `tally` too. NULL: it runs in no order.
ALTER TABLE delivery ADD COLUMN order_key INTEGER;
-- The head of each key, which is pending or running, and the blocked deliveries behind it in order of key.
CREATE INDEX delivery_order ON delivery (handler, order_key, state, key)
  WHERE order_key IS NOT NULL AND state IN ('pending', 'running', 'blocked');

-- JSON object, handler to order key: for an event in conflict, in case that it takes the id. NULL: none.
ALTER TABLE event ADD COLUMN order_keys TEXT;
