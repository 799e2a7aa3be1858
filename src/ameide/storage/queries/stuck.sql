-- name: roles
-- When each role of the control plane last took a turn.
SELECT role, seen_at, trouble, extract(epoch FROM clock_timestamp() - seen_at)::float8 AS silent FROM ameide.role_seen

-- name: forwards
-- Whether a forwarder is needed: it has a place in the log while something goes by Kafka. And whether the ingress waits for it.
SELECT EXISTS (SELECT FROM ameide.carriage WHERE by_kafka AND topic = ANY(%(facts)s)) AS facts
FROM ameide.cursor WHERE name = 'forwarder'

-- name: outbox
-- What the relay has not moved yet. Row-level security narrows it to the tenant.
SELECT count(*) AS waiting, min(occurred_at) AS since,
    extract(epoch FROM clock_timestamp() - min(occurred_at))::float8 AS age FROM ameide.outbox

-- name: behind
-- How far consumers are behind the log, and since when the first message waits that the tenant can see.
SELECT c.name, h.position - c.position AS waiting, m.occurred_at AS since,
    extract(epoch FROM clock_timestamp() - m.occurred_at)::float8 AS age
FROM ameide.log_head h JOIN ameide.cursor c ON c.name <> 'sweeper' AND c.position < h.position
LEFT JOIN LATERAL (SELECT l.occurred_at FROM ameide.log l WHERE l.position > c.position ORDER BY l.position LIMIT 1) m
    ON true

-- name: overdue
-- What time should have decided by now: leases, announcements, gates.
SELECT sum(waiting)::bigint AS waiting, min(since) AS since,
    extract(epoch FROM clock_timestamp() - min(since))::float8 AS age
FROM (
    SELECT count(*) AS waiting, min(lease_until) AS since FROM ameide.attempt
    WHERE ended_at IS NULL AND lease_until < clock_timestamp()
    UNION ALL
    SELECT count(*), min(announce_at) FROM ameide.work WHERE status = 'requested' AND announce_at < clock_timestamp()
    UNION ALL
    SELECT count(*), min(due_at) FROM ameide.aggregate WHERE kind = 'gate' AND due_at < clock_timestamp()) late

-- name: unserved
-- Queues that nobody polls, though works wait, or somebody who comes back did within the last day. An executor that is busy
-- with a claim serves its queues: it polls again afterwards. Who is invited by Kafka is seen when it claims; until then only the works
-- that wait tell that nobody does.
WITH on_kafka AS (
    SELECT topic FROM ameide.carriage WHERE by_kafka
), waiting AS (
    SELECT queue, count(*) AS waiting, min(enqueued_at) AS since FROM ameide.queue_item
    WHERE queue NOT IN (SELECT topic FROM on_kafka) GROUP BY queue
    UNION ALL
    SELECT w.queue, count(*), min(greatest(
        (SELECT max(f.occurred_at) FROM ameide.view_fact f WHERE f.tenant_id = w.tenant_id AND f.work_request_id = w.work_request_id),
        (SELECT max(a.ended_at) FROM ameide.attempt a WHERE a.tenant_id = w.tenant_id AND a.work_request_id = w.work_request_id)))
    FROM ameide.work w WHERE w.status = 'requested' AND w.queue IN (SELECT topic FROM on_kafka) GROUP BY w.queue
), served AS (
    SELECT s.queue, max(s.seen_at) AS last_seen, max(s.served_until) AS until,
        max(s.served_until) FILTER (WHERE s.comes_back) AS missed, bool_or(EXISTS (
        SELECT FROM ameide.attempt a
        WHERE a.principal_id = s.principal_id AND a.ended_at IS NULL AND a.lease_until > clock_timestamp())) AS busy
    FROM ameide.queue_served s GROUP BY s.queue
)
SELECT queue, coalesce(waiting, 0) AS waiting, coalesce(since, until, clock_timestamp()) AS since, last_seen,
    coalesce(extract(epoch FROM clock_timestamp() - coalesce(since, until)), 0)::float8 AS age,
    queue IN (SELECT topic FROM on_kafka) AS by_kafka
FROM waiting FULL JOIN served USING (queue)
WHERE NOT coalesce(busy OR until > clock_timestamp() - make_interval(secs => %(grace)s), false)
    AND (waiting > 0 OR (missed > clock_timestamp() - interval '1 day' AND queue NOT IN (SELECT topic FROM on_kafka)))
ORDER BY 3

-- name: gates
-- What waits for a person, the oldest first.
SELECT s.id, s.change_id, s.body, f.occurred_at AS since,
    extract(epoch FROM clock_timestamp() - f.occurred_at)::float8 AS age
FROM ameide.view_state s
JOIN ameide.view_fact f ON f.tenant_id = s.tenant_id AND f.position = s.first_position
WHERE s.kind = 'gate' AND s.status = 'OPEN' ORDER BY s.first_position LIMIT %(limit)s

-- name: promotions
-- Proposed, and no step is at work on it: a person merges it.
SELECT s.id, s.change_id, s.body, f.occurred_at AS since,
    extract(epoch FROM clock_timestamp() - f.occurred_at)::float8 AS age
FROM ameide.view_state s
JOIN ameide.view_fact f ON f.tenant_id = s.tenant_id AND f.position = s.position
WHERE s.kind = 'promotion' AND s.status = 'PROPOSED' AND NOT EXISTS (
    SELECT FROM ameide.view_state w
    WHERE w.kind = 'work' AND w.change_id = s.change_id AND w.status IN ('REQUESTED', 'STARTED'))
ORDER BY s.position LIMIT %(limit)s

-- name: parked
-- Keys that wait for somebody to remove the cause, with the error of the first message of each. One that is tried again by
-- itself counts when that did not help for a minute, the longest pause.
SELECT consumer, key, count(*) AS waiting, min(parked_at) AS since, (array_agg(error ORDER BY position))[1] AS reason,
    extract(epoch FROM clock_timestamp() - min(parked_at))::float8 AS age
FROM ameide.parked WHERE NOT redriven GROUP BY consumer, key
HAVING bool_and(retry_at IS NULL) OR min(parked_at) < clock_timestamp() - interval '1 minute'
ORDER BY min(parked_at) LIMIT %(limit)s

-- name: runs
-- Open runs about which nothing is heard, and that wait for no gate, work or promotion.
SELECT r.id, r.change_id, p.awaiting AS reason, f.occurred_at AS since,
    extract(epoch FROM clock_timestamp() - f.occurred_at)::float8 AS age
FROM ameide.view_state r
LEFT JOIN ameide.view_process p ON p.tenant_id = r.tenant_id AND p.process_instance_id = r.id
CROSS JOIN LATERAL (
    SELECT v.occurred_at FROM ameide.view_fact v
    WHERE v.tenant_id = r.tenant_id AND v.change_id = r.change_id ORDER BY v.position DESC LIMIT 1) f
WHERE r.kind = 'run' AND r.status = 'OPEN' AND f.occurred_at < clock_timestamp() - make_interval(secs => %(quiet)s)
    AND NOT EXISTS (
        SELECT FROM ameide.view_state o
        WHERE o.change_id = r.change_id AND o.kind IN ('gate', 'work', 'promotion')
            AND o.status IN ('OPEN', 'REQUESTED', 'STARTED', 'PROPOSED'))
ORDER BY f.occurred_at LIMIT %(limit)s

-- name: silent_cancels
-- To be canceled, claimed, and nothing heard for two thirds of the lease: twice as long as a heartbeat may take.
SELECT w.work_request_id, w.change_id, a.principal_id, a.last_heartbeat_at AS since,
    extract(epoch FROM clock_timestamp() - a.last_heartbeat_at)::float8 AS age
FROM ameide.attempt a JOIN ameide.work w USING (tenant_id, work_request_id, attempt)
WHERE a.ended_at IS NULL AND w.cancel_requested
    AND clock_timestamp() > a.last_heartbeat_at + (a.lease_until - a.last_heartbeat_at) * 2 / 3
ORDER BY a.last_heartbeat_at LIMIT %(limit)s
