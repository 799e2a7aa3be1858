-- What goes by Kafka, and the place of the forwarder in the log.

-- The carrier of each topic that has gone by Kafka at least once, as the settings had it when a relay, a forwarder or an
-- ingress last started.
CREATE TABLE ameide.carriage (
    topic text PRIMARY KEY,
    by_kafka boolean NOT NULL,
    -- Of a queue that changed its carrier: whether those who wait in it were invited again on the new way.
    announced boolean NOT NULL
);
GRANT SELECT ON ameide.carriage TO ameide_app, ameide_relay, ameide_sweeper, ameide_ingress;
GRANT UPDATE (announced) ON ameide.carriage TO ameide_sweeper;

-- From now on exactly the topics `wanted` go by Kafka; answers those that changed their carrier. The forwarder begins
-- where who is replaced by it has come to: of facts that is the ingress, of invitations the relay. So no message is
-- missed by both, and some are sent twice. Without a topic it has no place, since one that does not run would keep the
-- log from being archived.
CREATE FUNCTION ameide.carry(wanted text[]) RETURNS text[]
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    changed text[];
    facts boolean;
    place bigint;
BEGIN
    LOCK TABLE ameide.carriage IN SHARE ROW EXCLUSIVE MODE;
    SELECT array_agg(t) INTO changed FROM (
        SELECT t FROM unnest(wanted) AS t
        WHERE NOT EXISTS (SELECT FROM ameide.carriage c WHERE c.topic = t AND c.by_kafka)
        UNION ALL
        SELECT c.topic FROM ameide.carriage c WHERE c.by_kafka AND NOT c.topic = ANY(wanted)) AS both_ways (t);
    IF changed IS NULL THEN
        RETURN '{}';
    END IF;
    -- The batch that a forwarder has in hand ends first; then nothing is moved into the log until the commit.
    PERFORM FROM ameide.cursor WHERE name = 'forwarder' FOR UPDATE;
    SELECT h.position INTO place FROM ameide.log_head h FOR UPDATE;
    SELECT bool_or(t = ANY(wanted) AND t NOT LIKE '%.queue.%') INTO facts FROM unnest(changed) AS t;
    IF facts THEN
        SELECT least(place, c.position) INTO place FROM ameide.cursor c WHERE c.name = 'ingress';
    END IF;
    INSERT INTO ameide.carriage AS c (topic, by_kafka, announced)
    SELECT t, t = ANY(wanted), t NOT LIKE '%.queue.%' FROM unnest(changed) AS t
    ON CONFLICT (topic) DO UPDATE SET by_kafka = excluded.by_kafka, announced = excluded.announced;
    IF cardinality(wanted) = 0 THEN
        DELETE FROM ameide.cursor WHERE name = 'forwarder';
    ELSE
        INSERT INTO ameide.cursor AS c (name, position) VALUES ('forwarder', place)
        ON CONFLICT (name) DO UPDATE SET position = least(c.position, excluded.position);
    END IF;
    RETURN changed;
END
$$;
REVOKE ALL ON FUNCTION ameide.carry(text[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ameide.carry(text[]) TO ameide_relay, ameide_ingress;

-- What keeps a role that takes its turns from getting on, in a sentence; empty when nothing does.
ALTER TABLE ameide.role_seen ADD COLUMN trouble text NOT NULL DEFAULT '';
