-- Reads that belong together, in one round trip each. Each statement inside sees what was committed before it began, as
-- if they came one by one, and all run with the caller's own rights: row-level security holds as it does outside.

-- Opens a command in one statement: its tenant, its idempotency key, the clock, and the answer that the key has already.
-- A key is a lock before it is a row: a concurrent twin waits here for our commit and then finds our answer, which is
-- written once, with the effect. Each statement inside sees what was committed before it began.
CREATE FUNCTION ameide.open_command(tenant text, named text, key text)
RETURNS TABLE (now timestamptz, fingerprint bytea, response bytea) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('ameide.tenant_id', tenant, true);
    PERFORM pg_advisory_xact_lock(hashtextextended(tenant || ':' || named || ':' || key, 5275));
    SELECT i.fingerprint, i.response INTO fingerprint, response
    FROM ameide.idempotency i WHERE i.tenant_id = tenant AND i.command = named AND i.client_request_id = key;
    now := clock_timestamp();
    RETURN NEXT;
END
$$;

-- Everything that RequestWork rests on, its change and its gates locked in that order. Of a run its change is known first;
-- the run is read again under the change's lock, since a cancel or a close may just have been committed.
CREATE FUNCTION ameide.grounds(tenant text, run text, change text, repository text)
RETURNS TABLE (kind text, state bytea) LANGUAGE plpgsql AS $$
DECLARE
    of_change text := change;
BEGIN
    IF run <> '' THEN
        SELECT a.parent_id INTO of_change FROM ameide.aggregate a
        WHERE a.tenant_id = tenant AND a.kind = 'run' AND a.id = run;
    END IF;
    IF of_change <> '' THEN
        RETURN QUERY SELECT a.kind, a.state FROM ameide.aggregate a
        WHERE a.tenant_id = tenant AND a.kind = 'change' AND a.id = of_change FOR UPDATE;
    END IF;
    RETURN QUERY SELECT a.kind, a.state FROM ameide.aggregate a
    WHERE a.tenant_id = tenant AND ((a.kind = 'run' AND a.id = run) OR (a.kind = 'repository' AND a.id = repository)
        OR (a.kind = 'policy' AND a.id = repository));
    IF run <> '' THEN
        RETURN QUERY SELECT a.kind, a.state FROM ameide.aggregate a
        WHERE a.tenant_id = tenant AND a.kind = 'gate' AND a.parent_id = run ORDER BY a.id FOR UPDATE;
    END IF;
END
$$;

-- The next works of a claim: those that it runs already, else those of the oldest free invitations, which are used up. The
-- invitations are taken as the gateway, the works locked as the application; a work that somebody else holds comes without
-- its state, and the caller gives the invitations back.
CREATE FUNCTION ameide.next_works(tenant text, queues text[], claim text, principal text, most integer)
RETURNS TABLE (work_request_id text, running boolean, state bytea) LANGUAGE plpgsql AS $$
DECLARE
    taken text[];
BEGIN
    -- Two polls with one claim_id must not take other works: the second waits and then repeats the first one's answer.
    PERFORM pg_advisory_xact_lock(hashtextextended(tenant || ':' || claim, 5274));
    RETURN QUERY SELECT a.work_request_id, true, NULL::bytea FROM ameide.attempt a
    WHERE a.tenant_id = tenant AND a.ended_at IS NULL AND a.claim_id = claim AND a.principal_id = principal
    ORDER BY a.work_request_id;
    IF FOUND THEN
        RETURN;
    END IF;
    SET LOCAL ROLE ameide_gateway;
    -- Each queue is asked for its first ones by the index; `queue = ANY(…)` would read and sort all that wait, for every claim.
    WITH oldest AS MATERIALIZED (
        SELECT f.tenant_id, f.work_request_id
        FROM unnest(queues) AS asked (queue) CROSS JOIN LATERAL (
            SELECT i.tenant_id, i.work_request_id, i.position FROM ameide.queue_item i
            WHERE i.queue = asked.queue AND i.tenant_id = tenant
            ORDER BY i.position LIMIT most FOR UPDATE SKIP LOCKED) AS f
        ORDER BY f.position LIMIT most
    ), used_up AS (
        DELETE FROM ameide.queue_item q USING oldest o
        WHERE q.tenant_id = o.tenant_id AND q.work_request_id = o.work_request_id
        RETURNING q.work_request_id)
    SELECT array_agg(u.work_request_id) INTO taken FROM used_up u;
    SET LOCAL ROLE NONE;
    -- Waiting for a work here while its holder waits for the invitation would deadlock.
    RETURN QUERY
    WITH locked AS MATERIALIZED (
        SELECT w.work_request_id, w.state FROM ameide.work w
        WHERE w.tenant_id = tenant AND w.work_request_id = ANY(taken) FOR UPDATE SKIP LOCKED)
    SELECT t.id, false, l.state FROM unnest(taken) AS t (id) LEFT JOIN locked l ON l.work_request_id = t.id;
END
$$;

-- Moves the oldest of the outbox into the log. Whoever holds the one head row is the sequencer; others skip it and stay quiet.
-- Partitions are made under that lock, before the batch may need them: `edge` is the first position without one, as far as
-- the caller knows, and then really.
CREATE FUNCTION ameide.move_outbox(
    most integer, elsewhere text[], size bigint, INOUT edge bigint, OUT moved bigint, OUT intents bigint)
LANGUAGE plpgsql AS $$
DECLARE
    head bigint;
BEGIN
    moved := 0;
    intents := 0;
    SELECT h.position INTO head FROM ameide.log_head h FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    IF head + most >= edge THEN
        edge := ameide.extend_log(head + most, size);
    END IF;
    -- A statement of its own after the lock, so that its snapshot is younger than the last mover's commit. Ids of one
    -- aggregate are taken under its lock, hence visible in order; a late commit of another aggregate is simply sequenced
    -- later. The parts share that snapshot: what is deleted is what was logged, without carrying whole rows from one to the
    -- other. Intents of PostgreSQL queues become invitations: one row per work, a later dispatch replaces an earlier one.
    WITH batch AS MATERIALIZED (
        SELECT min(id) AS first, max(id) AS last FROM (SELECT id FROM ameide.outbox ORDER BY id LIMIT most) AS oldest
    ), logged AS (
        INSERT INTO ameide.log (
            position, tenant_id, topic, kind, key, message_id, name, aggregate_type, aggregate_id, aggregate_version,
            process_instance_id, correlation_id, causation_id, work_request_id, occurred_at, payload)
        SELECT head + row_number() OVER (ORDER BY id), tenant_id, topic, kind, key, message_id, name, aggregate_type,
            aggregate_id, aggregate_version, process_instance_id, correlation_id, causation_id, work_request_id, occurred_at,
            payload
        FROM ameide.outbox WHERE id BETWEEN (SELECT first FROM batch) AND (SELECT last FROM batch)
    ), invited AS (
        INSERT INTO ameide.queue_item AS q (queue, tenant_id, work_request_id, dispatch, position)
        SELECT DISTINCT ON (tenant_id, work_request_id) topic, tenant_id, work_request_id, aggregate_version, position
        FROM (
            SELECT topic, kind, tenant_id, work_request_id, aggregate_version,
                head + row_number() OVER (ORDER BY id) AS position
            FROM ameide.outbox WHERE id BETWEEN (SELECT first FROM batch) AND (SELECT last FROM batch)) AS placed
        WHERE kind = 'intent' AND NOT topic = ANY(elsewhere)
        ORDER BY tenant_id, work_request_id, aggregate_version DESC, position DESC
        ON CONFLICT (tenant_id, work_request_id) DO UPDATE
        SET queue = excluded.queue, dispatch = excluded.dispatch, position = excluded.position, enqueued_at = clock_timestamp()
        WHERE q.dispatch <= excluded.dispatch
    ), taken AS (
        DELETE FROM ameide.outbox WHERE id BETWEEN (SELECT first FROM batch) AND (SELECT last FROM batch) RETURNING kind)
    SELECT count(*), count(*) FILTER (WHERE t.kind = 'intent') INTO moved, intents FROM taken t;
    -- The new end of the log, in the moving transaction: positions have no gap and no duplicate.
    IF moved > 0 THEN
        UPDATE ameide.log_head SET position = head + moved;
    END IF;
END
$$;

-- The running attempt of a claim is looked up at each poll, among all that run. By its work an attempt has its key.
DROP INDEX ameide.attempt_running;
CREATE INDEX attempt_claim ON ameide.attempt (tenant_id, claim_id) WHERE ended_at IS NULL;

GRANT EXECUTE ON FUNCTION ameide.open_command(text, text, text) TO ameide_app;
GRANT EXECUTE ON FUNCTION ameide.grounds(text, text, text, text) TO ameide_app;
GRANT EXECUTE ON FUNCTION ameide.next_works(text, text[], text, text, integer) TO ameide_app;
GRANT EXECUTE ON FUNCTION ameide.move_outbox(integer, text[], bigint, bigint) TO ameide_relay;
