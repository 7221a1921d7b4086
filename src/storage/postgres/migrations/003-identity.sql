-- What was quarantined by a release that let it take its id gives it up when it is looked for.
CREATE FUNCTION give_up_id_3(p_source text, p_id text) RETURNS void LANGUAGE sql AS $$
  WITH old AS (
    UPDATE event AS x SET variant = 2 FROM event_key AS k
    WHERE k.source = p_source AND k.id = p_id AND k.variant = '' AND x.key = k.event
      AND x.status = 'quarantined' AND x.created_at_source IS NULL AND x.variant = 0
    RETURNING x.key, x.checksum
  )
  UPDATE event_key AS k SET variant = 'q'::bytea || old.checksum FROM old
  WHERE k.source = p_source AND k.id = p_id AND k.variant = '' AND k.event = old.key
$$;

-- Takes a body for an event, or gives the event that has it.
CREATE FUNCTION take_body_3(p_key bigint, p_source text, p_checksum bytea, p_is_understood boolean)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  v_known bigint;
BEGIN
  INSERT INTO body_key VALUES (p_source, p_checksum, p_is_understood, p_key) ON CONFLICT DO NOTHING;
  IF FOUND THEN RETURN NULL; END IF;
  SELECT x.key INTO v_known FROM body_key AS b JOIN event AS x ON x.key = b.event
  WHERE b.source = p_source AND b.checksum = p_checksum AND b.is_understood = p_is_understood;
  IF v_known IS NULL THEN
    UPDATE body_key AS b SET event = p_key
    WHERE b.source = p_source AND b.checksum = p_checksum AND b.is_understood = p_is_understood;
    IF NOT FOUND THEN
      RAISE EXCEPTION 'an event was forgotten while its duplicate arrived' USING ERRCODE = 'serialization_failure';
    END IF;
  END IF;
  RETURN v_known;
END $$;

-- Gives a body up that was taken for an event.
CREATE FUNCTION free_body_3(p_key bigint, p_source text, p_checksum bytea) RETURNS void LANGUAGE sql AS $$
  DELETE FROM body_key AS b WHERE b.source = p_source AND b.checksum = p_checksum AND b.event = p_key
$$;

-- What is known of a source, id and body before an event is kept: the rules of Store.append. Takes what the event is to be
-- known by, and gives how it is to be kept (`variant`); or NULL, and as what it is known, and by which event.
CREATE FUNCTION identify_3(
  p_key bigint, p_source text, p_id text, p_checksum bytea, p_is_understood boolean, p_by_body boolean,
  OUT variant smallint, OUT outcome text, OUT known bigint
) LANGUAGE plpgsql AS $$
DECLARE
  v_name bytea := CASE WHEN p_is_understood THEN p_checksum ELSE 'q'::bytea || p_checksum END;
  v_first record;
BEGIN
  outcome := 'duplicate';
  SELECT x.key, x.checksum, x.status = 'quarantined' AND x.created_at_source IS NULL AS is_old INTO v_first
  FROM event_key AS k JOIN event AS x ON x.key = k.event WHERE k.source = p_source AND k.id = p_id AND k.variant = '';
  IF v_first.is_old THEN
    PERFORM give_up_id_3(p_source, p_id);
  ELSIF v_first.checksum = p_checksum THEN
    known := v_first.key;
    RETURN;
  END IF;
  IF p_by_body THEN
    IF NOT p_is_understood THEN
      SELECT b.event INTO known FROM body_key AS b JOIN event AS x ON x.key = b.event
      WHERE b.source = p_source AND b.checksum = p_checksum AND b.is_understood;
      IF known IS NOT NULL THEN RETURN; END IF;
    END IF;
    known := take_body_3(p_key, p_source, p_checksum, p_is_understood);
    IF known IS NOT NULL THEN RETURN; END IF;
  END IF;

  IF p_is_understood THEN
    INSERT INTO event_key VALUES (p_source, p_id, '', p_key) ON CONFLICT DO NOTHING;
    IF FOUND THEN
      variant := 0;
      RETURN;
    END IF;
    SELECT x.key, x.checksum INTO v_first FROM event_key AS k JOIN event AS x ON x.key = k.event
    WHERE k.source = p_source AND k.id = p_id AND k.variant = '';
    IF v_first.key IS NULL THEN
      RAISE EXCEPTION 'an event was forgotten while its duplicate arrived' USING ERRCODE = 'serialization_failure';
    END IF;
    -- Kept meanwhile, by a process that does not look at bodies.
    IF v_first.checksum = p_checksum THEN known := v_first.key; END IF;
  END IF;
  IF known IS NULL THEN
    outcome := CASE WHEN p_is_understood THEN 'conflict' ELSE 'duplicate' END;
    INSERT INTO event_key VALUES (p_source, p_id, v_name, p_key) ON CONFLICT DO NOTHING;
    IF FOUND THEN
      variant := CASE WHEN p_is_understood THEN 1 ELSE 2 END;
      -- Its body stays free: the same under an id of its own is to run.
      IF variant = 1 THEN PERFORM free_body_3(p_key, p_source, p_checksum); END IF;
      RETURN;
    END IF;
    SELECT x.key INTO known FROM event_key AS k JOIN event AS x ON x.key = k.event
    WHERE k.source = p_source AND k.id = p_id AND k.variant = v_name;
    IF known IS NULL THEN
      RAISE EXCEPTION 'an event was forgotten while its duplicate arrived' USING ERRCODE = 'serialization_failure';
    END IF;
  END IF;
  IF p_by_body THEN PERFORM free_body_3(p_key, p_source, p_checksum); END IF;
END $$;

-- An event that was not understood when it came is now: it takes its id. Gives the uid of the event that has the id, or its
-- body, already: this one is in conflict then. The caller has locked it.
CREATE FUNCTION understand_3(p_key bigint) RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
  e event;
  v_taker bigint;
BEGIN
  SELECT * INTO e FROM event WHERE event.key = p_key;
  DELETE FROM event_key AS k
  WHERE k.source = e.source AND k.id = e.id AND k.variant = 'q'::bytea || e.checksum AND k.event = p_key;
  IF e.by_body = 1 THEN
    DELETE FROM body_key AS b WHERE b.source = e.source AND b.checksum = e.checksum AND NOT b.is_understood AND b.event = p_key;
    v_taker := take_body_3(p_key, e.source, e.checksum, true);
  END IF;
  IF v_taker IS NULL THEN
    PERFORM give_up_id_3(e.source, e.id);
    INSERT INTO event_key VALUES (e.source, e.id, '', p_key) ON CONFLICT DO NOTHING;
    IF FOUND THEN
      UPDATE event SET variant = 0 WHERE event.key = p_key;
      RETURN NULL;
    END IF;
    SELECT k.event INTO v_taker FROM event_key AS k WHERE k.source = e.source AND k.id = e.id AND k.variant = '';
  END IF;
  INSERT INTO event_key VALUES (e.source, e.id, e.checksum, p_key) ON CONFLICT DO NOTHING;
  PERFORM free_body_3(p_key, e.source, e.checksum);
  UPDATE event SET variant = 1, by_body = NULL WHERE event.key = p_key;
  RETURN (SELECT x.uid FROM event AS x WHERE x.key = v_taker);
END $$;
