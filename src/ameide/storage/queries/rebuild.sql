-- name: one_at_a_time
-- Two rebuilds would drop each other's shadow tables.
SELECT pg_try_advisory_xact_lock(5272, 1) AS alone

-- name: make_shadow
-- Empty tables beside the live ones.
SELECT ameide.make_shadow(%(tables)s)

-- name: finish_shadow
-- Indexes, policies and rights, once the tables are filled.
SELECT ameide.finish_shadow(%(tables)s)

-- name: swap_shadow
-- The rebuilt tables take the place of the live ones.
SELECT ameide.swap_shadow(%(tables)s) AS outcome

-- name: drop_shadow
-- After a comparison nothing is left behind.
SELECT ameide.drop_shadow(%(tables)s)

-- name: live_position
-- How far the live read model is.
SELECT position FROM ameide.cursor WHERE name = 'projector'

-- name: waiting
-- What the live projector has set aside up to there: it has had no effect yet, here neither.
SELECT position, tenant_id, topic, kind, key, message_id, name, aggregate_type, aggregate_id, aggregate_version,
    process_instance_id, correlation_id, causation_id, work_request_id, occurred_at, payload
FROM ameide.parked WHERE consumer = 'projector' AND position <= %(upto)s

-- name: copy_facts
-- Each message once, hence no conflict to resolve.
COPY ameide_shadow.view_fact (
    tenant_id, position, topic, name, message_id, occurred_at, actor, on_behalf_of, aggregate_type, aggregate_id,
    aggregate_version, change_id, process_instance_id, work_request_id, causation_id, text) FROM STDIN (FORMAT BINARY)

-- name: make_incoming
-- States of a batch, before they meet those of earlier batches.
CREATE TEMPORARY TABLE IF NOT EXISTS incoming (LIKE ameide.view_state) ON COMMIT DELETE ROWS

-- name: copy_states
-- At most one row a state, see Rows.folded.
COPY pg_temp.incoming (
    tenant_id, kind, id, version, change_id, process_instance_id, repository_id, status, position, first_position, body)
FROM STDIN (FORMAT BINARY)

-- name: one_snapshot
-- Both sides are compared as they were at one moment, while the live one goes on.
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY

-- name: differs_view_fact
-- Rows that only one side has, or whose columns differ; the first of them in the order of the key.
SELECT count(*) OVER () AS count, to_jsonb(l) AS live, to_jsonb(s) AS rebuilt
FROM ameide.view_fact l FULL JOIN ameide_shadow.view_fact s USING (tenant_id, position)
WHERE l.* IS DISTINCT FROM s.* ORDER BY tenant_id, position LIMIT 1

-- name: differs_view_state
-- The same for states.
SELECT count(*) OVER () AS count, to_jsonb(l) AS live, to_jsonb(s) AS rebuilt
FROM ameide.view_state l FULL JOIN ameide_shadow.view_state s USING (tenant_id, kind, id)
WHERE l.* IS DISTINCT FROM s.* ORDER BY tenant_id, kind, id LIMIT 1

-- name: differs_view_process
-- The same for processes.
SELECT count(*) OVER () AS count, to_jsonb(l) AS live, to_jsonb(s) AS rebuilt
FROM ameide.view_process l FULL JOIN ameide_shadow.view_process s USING (tenant_id, process_instance_id)
WHERE l.* IS DISTINCT FROM s.* ORDER BY tenant_id, process_instance_id LIMIT 1
