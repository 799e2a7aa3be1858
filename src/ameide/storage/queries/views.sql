-- name: put_fact
-- A message is projected at least once, and the second time changes nothing.
INSERT INTO ameide.view_fact (
    tenant_id, position, topic, name, message_id, occurred_at, actor, on_behalf_of, aggregate_type, aggregate_id,
    aggregate_version, change_id, process_instance_id, work_request_id, causation_id, text)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (tenant_id, position) DO NOTHING

-- name: put_state
-- Every fact carries the whole state, so a higher version subsumes a lower one.
INSERT INTO ameide.view_state AS s (
    tenant_id, kind, id, version, change_id, process_instance_id, repository_id, status, position, first_position, body)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (tenant_id, kind, id) DO UPDATE SET
    version = excluded.version, change_id = excluded.change_id, process_instance_id = excluded.process_instance_id,
    repository_id = excluded.repository_id, status = excluded.status, position = excluded.position, body = excluded.body
WHERE s.version < excluded.version

-- name: put_process
-- A fact that says nothing of phase or wait (NULL) leaves what was known.
INSERT INTO ameide.view_process AS p (tenant_id, process_instance_id, change_id, phase, awaiting, position)
VALUES (%s, %s, %s, %s, %s, %s)
ON CONFLICT (tenant_id, process_instance_id) DO UPDATE SET
    phase = coalesce(%s::text, p.phase), awaiting = coalesce(%s::text, p.awaiting), position = excluded.position
WHERE p.position < excluded.position

-- name: watermark
-- The log position that the read model has reached.
SELECT position FROM ameide.cursor WHERE name = 'projector'

-- name: own_state
-- The Domain's own record, for who was just told that it moved; the projection comes a moment later.
SELECT version, state FROM ameide.aggregate WHERE kind = %(kind)s AND id = %(id)s

-- name: get_state
-- The newest state of one aggregate and the message that brought it.
SELECT s.kind, s.id, s.version, s.change_id, s.process_instance_id, s.repository_id, s.status, s.position,
    s.first_position, s.body, coalesce(f.message_id, '') AS message_id
FROM ameide.view_state s LEFT JOIN ameide.view_fact f ON f.tenant_id = s.tenant_id AND f.position = s.position
WHERE s.kind = %(kind)s AND s.id = %(id)s

-- name: newest_of_changes
-- The newest of one kind for each of some changes.
SELECT DISTINCT ON (s.change_id) s.kind, s.id, s.version, s.change_id, s.process_instance_id, s.repository_id, s.status,
    s.position, s.first_position, s.body, coalesce(f.message_id, '') AS message_id
FROM ameide.view_state s LEFT JOIN ameide.view_fact f ON f.tenant_id = s.tenant_id AND f.position = s.position
WHERE s.kind = %(kind)s AND s.change_id = ANY(%(changes)s)
ORDER BY s.change_id, s.first_position DESC

-- name: list_states
-- Newest first by the place where they began, so that a page does not shift while states move on.
SELECT s.kind, s.id, s.version, s.change_id, s.process_instance_id, s.repository_id, s.status, s.position,
    s.first_position, s.body, coalesce(f.message_id, '') AS message_id
FROM ameide.view_state s LEFT JOIN ameide.view_fact f ON f.tenant_id = s.tenant_id AND f.position = s.position
WHERE s.kind = %(kind)s
    AND (%(change)s = '' OR s.change_id = %(change)s)
    AND (%(run)s = '' OR s.process_instance_id = %(run)s)
    AND (%(repository)s = '' OR s.repository_id = %(repository)s)
    AND (cardinality(%(statuses)s::text[]) = 0 OR s.status = ANY(%(statuses)s::text[]))
    AND s.first_position < %(before)s
ORDER BY s.first_position DESC LIMIT %(limit)s

-- name: consents_of_conversation
-- Which ones belong to it the Domain's own rows say; what they say is as it was projected, in the order of asking.
SELECT s.kind, s.id, s.position, s.body, coalesce(f.message_id, '') AS message_id
FROM ameide.aggregate a
JOIN ameide.view_state s ON s.tenant_id = a.tenant_id AND s.kind = a.kind AND s.id = a.id
LEFT JOIN ameide.view_fact f ON f.tenant_id = s.tenant_id AND f.position = s.position
WHERE a.kind = 'consent' AND a.parent_id = %(conversation)s
ORDER BY s.first_position

-- name: processes
-- Phase and wait of the runs of some changes.
SELECT process_instance_id, change_id, phase, awaiting, position
FROM ameide.view_process WHERE process_instance_id = ANY(%(runs)s)

-- name: get_evidence
-- The bundle that had this id first, with the place of the fact that refers to it. Evidence is the Domain's and is read
-- as it lies there, once that fact is projected: an answer rests on nothing newer than the position that it tells.
SELECT e.evidence_bundle_id, e.work_request_id, e.change_id, s.position, e.body
FROM ameide.evidence e
JOIN ameide.view_state s ON s.tenant_id = e.tenant_id AND s.kind = 'work' AND s.id = e.work_request_id
WHERE e.evidence_bundle_id = %(id)s AND s.status IN ('SUCCEEDED', 'FAILED', 'CANCELED')
ORDER BY s.position LIMIT 1

-- name: evidence_of_works
-- The bundles of some works, in the order of their facts.
SELECT e.evidence_bundle_id, e.work_request_id, e.change_id, s.position, e.body
FROM ameide.evidence e
JOIN ameide.view_state s ON s.tenant_id = e.tenant_id AND s.kind = 'work' AND s.id = e.work_request_id
WHERE e.work_request_id = ANY(%(works)s) AND s.status IN ('SUCCEEDED', 'FAILED', 'CANCELED')
ORDER BY s.position

-- name: list_evidence
-- Newest first.
SELECT e.evidence_bundle_id, e.work_request_id, e.change_id, s.position, e.body
FROM ameide.evidence e
JOIN ameide.view_state s ON s.tenant_id = e.tenant_id AND s.kind = 'work' AND s.id = e.work_request_id
WHERE (%(change)s = '' OR e.change_id = %(change)s) AND s.status IN ('SUCCEEDED', 'FAILED', 'CANCELED')
    AND s.position < %(before)s
ORDER BY s.position DESC LIMIT %(limit)s

-- name: attempts
-- Infra's own observations, from the claims themselves at read time, never projected.
SELECT work_request_id, attempt, principal_id, runner, claimed_at, last_heartbeat_at, ended_at, ended_by, heartbeats,
    queue_wait_ms, log_tail, usage
FROM ameide.attempt WHERE work_request_id = ANY(%(works)s) ORDER BY work_request_id, attempt

-- name: reused
-- What processes of a change said of works of other runs than their own: that they took their results.
SELECT f.process_instance_id, f.work_request_id, f.message_id, f.position, f.text
FROM ameide.view_fact f JOIN ameide.view_state w
    ON w.tenant_id = f.tenant_id AND w.kind = 'work' AND w.id = f.work_request_id
WHERE f.change_id = %(change)s AND f.name = 'ActivityTransitioned' AND f.work_request_id <> ''
    AND f.process_instance_id <> w.process_instance_id
ORDER BY f.position

-- name: waiting
-- Works that nobody has claimed yet.
SELECT work_request_id, queue, dispatch, enqueued_at FROM ameide.queue_item WHERE work_request_id = ANY(%(works)s)

-- name: timeline
-- By work, then by correlation, then by cause: a fact that names no change belongs to the one that it was caused by.
WITH own AS (
    SELECT position FROM ameide.view_fact
    WHERE change_id = %(change)s AND (%(run)s = '' OR process_instance_id = %(run)s)
    UNION
    SELECT position FROM ameide.view_fact WHERE work_request_id = ANY(%(works)s) AND work_request_id <> ''
), caused AS (
    SELECT c.position FROM ameide.view_fact c
    WHERE c.change_id = '' AND c.causation_id <> ''
        AND c.causation_id IN (SELECT f.message_id FROM ameide.view_fact f JOIN own USING (position))
)
SELECT position, topic, name, message_id, occurred_at, actor, on_behalf_of, process_instance_id, work_request_id,
    causation_id, text
FROM ameide.view_fact WHERE position IN (SELECT position FROM own UNION SELECT position FROM caused) ORDER BY position

-- name: audit
-- Facts only, newest first: an intent is an invitation and states nothing.
SELECT position, topic, name, message_id, occurred_at, actor, on_behalf_of, aggregate_type, aggregate_id,
    aggregate_version, change_id, process_instance_id, causation_id, text
FROM ameide.view_fact
WHERE topic = ANY(%(topics)s) AND position < %(before)s
    AND (%(change)s = '' OR change_id = %(change)s)
    AND (%(principal)s = '' OR actor = %(principal)s OR on_behalf_of = %(principal)s)
ORDER BY position DESC LIMIT %(limit)s

-- name: get_fact
-- One message by its id, with its bytes from the log; without them when its partition was archived.
SELECT f.position, f.topic, f.name, f.message_id, f.occurred_at, f.actor, f.on_behalf_of, f.aggregate_type, f.aggregate_id,
    f.aggregate_version, f.change_id, f.process_instance_id, f.causation_id, f.text, l.payload
FROM ameide.view_fact f LEFT JOIN ameide.log l ON l.position = f.position
WHERE f.message_id = %(id)s

-- name: heads
-- How far the log is, and what waits before it. Row-level security narrows the outbox to the tenant.
SELECT (SELECT position FROM ameide.log_head) AS head,
    (SELECT count(*) FROM ameide.outbox) AS pending,
    (SELECT coalesce(extract(epoch FROM clock_timestamp() - min(occurred_at)), 0)::float8 FROM ameide.outbox) AS oldest,
    (SELECT count(*) FROM ameide.parked) AS parked

-- name: queues
-- Works that nobody has claimed yet: by the queue's rows, and by the works themselves where Kafka has the invitations.
WITH on_kafka AS (SELECT topic FROM ameide.carriage WHERE by_kafka)
SELECT queue, count(*) AS ready, extract(epoch FROM clock_timestamp() - min(enqueued_at))::float8 AS oldest
FROM ameide.queue_item WHERE queue NOT IN (SELECT topic FROM on_kafka) GROUP BY queue
UNION ALL
SELECT w.queue, count(*), coalesce(extract(epoch FROM clock_timestamp() - min((
    SELECT max(f.occurred_at) FROM ameide.view_fact f WHERE f.tenant_id = w.tenant_id AND f.work_request_id = w.work_request_id))), 0)::float8
FROM ameide.work w WHERE w.status = 'requested' AND w.queue IN (SELECT topic FROM on_kafka) GROUP BY w.queue
ORDER BY queue

-- name: consumers
-- How far those who read the log are. The sweeper's row is only its lock.
SELECT name, position FROM ameide.cursor WHERE name <> 'sweeper' ORDER BY name

-- name: open_counts
-- What waits for a person, and what runs.
SELECT count(*) FILTER (WHERE kind = 'gate') AS gates, count(*) FILTER (WHERE kind = 'run' AND status = 'OPEN') AS runs,
    count(*) FILTER (WHERE status = 'QUEUED') AS queued
FROM ameide.view_state WHERE kind IN ('gate', 'run') AND status IN ('OPEN', 'QUEUED')
