-- The log in ranges of positions, so that what is archived leaves by dropping a table instead of deleting rows.
--
-- A unique index on message_id cannot span partitions, and none is needed: a message id exists once because its outbox
-- row does, and moving deletes that row in the transaction that writes the log. The ids of process facts repeat by intent;
-- process_fact_seen lets one of them into the outbox. The archive is refused when an id occurs twice within a partition.
--
-- There is no default partition: attaching a neighbour would have to scan and lock it. The relay makes partitions ahead.

ALTER TABLE ameide.log RENAME TO log_first;
ALTER TABLE ameide.log_first RENAME CONSTRAINT log_pkey TO log_first_pkey;

CREATE TABLE ameide.log (LIKE ameide.log_first, PRIMARY KEY (position)) PARTITION BY RANGE (position);
ALTER TABLE ameide.log ENABLE ROW LEVEL SECURITY;
ALTER TABLE ameide.log FORCE ROW LEVEL SECURITY;
CREATE POLICY app ON ameide.log FOR SELECT TO ameide_app
    USING (tenant_id = nullif(current_setting('ameide.tenant_id', true), ''));
GRANT SELECT ON ameide.log TO ameide_app;
CREATE POLICY ameide_relay ON ameide.log TO ameide_relay USING (true);
GRANT SELECT, INSERT ON ameide.log TO ameide_relay;
CREATE POLICY ameide_ingress ON ameide.log TO ameide_ingress USING (true);
GRANT SELECT ON ameide.log TO ameide_ingress;
CREATE POLICY ameide_projector ON ameide.log TO ameide_projector USING (true);
GRANT SELECT ON ameide.log TO ameide_projector;

-- A log with messages stays where it is and becomes the first partition: one scan checks its range, no row is written.
-- A partition has no policy and no grant: it is reached through ameide.log alone.
DO $$
DECLARE
    head bigint := (SELECT position FROM ameide.log_head);
    t text;
BEGIN
    FOR t IN SELECT policyname FROM pg_policies WHERE schemaname = 'ameide' AND tablename = 'log_first' LOOP
        EXECUTE format('DROP POLICY %I ON ameide.log_first', t);
    END LOOP;
    REVOKE ALL ON ameide.log_first FROM ameide_app, ameide_relay, ameide_ingress, ameide_projector;
    IF head = 0 THEN
        DROP TABLE ameide.log_first;
    ELSE
        EXECUTE format('ALTER TABLE ameide.log ATTACH PARTITION ameide.log_first FOR VALUES FROM (1) TO (%s)', head + 1);
    END IF;
END
$$;

-- The partitions with their ranges, from the catalogue.
CREATE VIEW ameide.log_partition WITH (security_invoker = true) AS
SELECT c.relname::text AS name, bound[1]::bigint AS first, bound[2]::bigint AS until
FROM pg_catalog.pg_inherits i
JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
CROSS JOIN LATERAL regexp_match(pg_catalog.pg_get_expr(c.relpartbound, c.oid), 'FROM \(''(\d+)''\) TO \(''(\d+)''\)') AS bound
WHERE i.inhparent = 'ameide.log'::regclass;
GRANT SELECT ON ameide.log_partition TO ameide_app, ameide_relay, ameide_projector;

-- What left the log, or may: one row a partition, written once its archive was read back and compared.
CREATE TABLE ameide.log_archive (
    first bigint PRIMARY KEY,
    last bigint NOT NULL UNIQUE,
    manifest text NOT NULL,
    manifest_sha256 text NOT NULL,
    bytes bigint NOT NULL,
    archived_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- When the partition was dropped.
    dropped_at timestamptz,
    CHECK (first <= last)
);
GRANT SELECT ON ameide.log_archive TO ameide_app, ameide_projector;
GRANT SELECT, INSERT ON ameide.log_archive TO ameide_relay;
GRANT SELECT ON ameide.cursor TO ameide_relay;

-- Makes partitions of `size` positions until `upto` has its place; gives the first position without one. The lock lets
-- readers and writers go on. The sequencer calls it, which owns no table.
CREATE FUNCTION ameide.extend_log(upto bigint, size bigint) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    edge bigint;
    part text;
BEGIN
    IF size < 1 THEN
        RAISE EXCEPTION 'a partition holds at least one position, not %', size;
    END IF;
    LOCK TABLE ameide.log IN SHARE UPDATE EXCLUSIVE MODE;
    SELECT greatest(
        1, (SELECT max(until) FROM ameide.log_partition), (SELECT max(last) + 1 FROM ameide.log_archive)) INTO edge;
    WHILE edge <= upto LOOP
        part := 'log_' || lpad(edge::text, 15, '0');
        EXECUTE format('CREATE TABLE ameide.%I (LIKE ameide.log INCLUDING INDEXES)', part);
        EXECUTE format('ALTER TABLE ameide.%I ENABLE ROW LEVEL SECURITY', part);
        EXECUTE format('ALTER TABLE ameide.%I FORCE ROW LEVEL SECURITY', part);
        EXECUTE format(
            'ALTER TABLE ameide.log ATTACH PARTITION ameide.%I FOR VALUES FROM (%s) TO (%s)', part, edge, edge + size);
        edge := edge + size;
    END LOOP;
    RETURN edge;
END
$$;
REVOKE ALL ON FUNCTION ameide.extend_log(bigint, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ameide.extend_log(bigint, bigint) TO ameide_relay;

-- Drops the partition that begins at `start`, if it is archived and every consumer has passed it; else it raises. Answers
-- dropped, gone, or busy: whoever reads the log is waited for a second only, since the relay would wait behind this.
CREATE FUNCTION ameide.drop_archived(start bigint) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '1s' AS $$
DECLARE
    part record;
    passed bigint;
BEGIN
    SELECT p.name, p.until, a.manifest INTO part
    FROM ameide.log_partition p LEFT JOIN ameide.log_archive a ON a.first = p.first AND a.last = p.until - 1
    WHERE p.first = start;
    IF NOT FOUND THEN
        RETURN 'gone';
    END IF;
    IF part.manifest IS NULL THEN
        RAISE EXCEPTION 'the log from % on is not archived', start;
    END IF;
    -- The sweeper's row is its lock and no place in the log.
    SELECT least(min(c.position), (SELECT h.position FROM ameide.log_head h)) INTO passed
    FROM ameide.cursor c WHERE c.name <> 'sweeper';
    IF passed < part.until - 1 THEN
        RAISE EXCEPTION 'a consumer has come to % only, the archived part of the log ends at %', passed, part.until - 1;
    END IF;
    EXECUTE format('DROP TABLE ameide.%I', part.name);
    UPDATE ameide.log_archive SET dropped_at = clock_timestamp() WHERE first = start;
    RETURN 'dropped';
EXCEPTION WHEN lock_not_available THEN
    RETURN 'busy';
END
$$;
REVOKE ALL ON FUNCTION ameide.drop_archived(bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ameide.drop_archived(bigint) TO ameide_relay;
