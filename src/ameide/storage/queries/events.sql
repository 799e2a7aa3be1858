-- name: append
-- One message; the ids follow the order of the statements.
INSERT INTO ameide.outbox (
    tenant_id, topic, kind, key, message_id, name, aggregate_type, aggregate_id, aggregate_version,
    process_instance_id, correlation_id, causation_id, work_request_id, occurred_at, payload)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)

-- name: move
-- See the function: one batch from the outbox into the log, unless somebody else is at it.
SELECT edge, moved, intents FROM ameide.move_outbox(%(most)s::integer, %(elsewhere)s::text[], %(size)s::bigint, %(edge)s::bigint)

-- name: lock_cursor
-- Of several replicas the one that holds the row is active.
SELECT position FROM ameide.cursor WHERE name = %(name)s FOR UPDATE SKIP LOCKED

-- name: advance_cursor
-- The watermark: everything up to here has had its effect.
UPDATE ameide.cursor SET position = %(position)s WHERE name = %(name)s

-- name: begin_cursor
-- A consumer that comes later begins at the end of the log.
INSERT INTO ameide.cursor (name, position) SELECT %(name)s, position FROM ameide.log_head
ON CONFLICT (name) DO NOTHING

-- name: drop_cursor
-- A consumer that is no more holds nothing up.
DELETE FROM ameide.cursor WHERE name = %(name)s

-- name: read_log
-- Facts and intents of all tenants in the one order.
SELECT position, tenant_id, topic, kind, key, message_id, name, aggregate_type, aggregate_id, aggregate_version,
    process_instance_id, correlation_id, causation_id, work_request_id, occurred_at, payload
FROM ameide.log WHERE position > %(after)s ORDER BY position LIMIT %(limit)s

-- name: at
-- What the log says at some positions, to compare it with what a broker brought.
SELECT position, tenant_id, topic, kind, key, message_id, name, aggregate_type, aggregate_id, aggregate_version,
    process_instance_id, correlation_id, causation_id, work_request_id, occurred_at, payload
FROM ameide.log WHERE position = ANY(%(positions)s::bigint[])

-- name: parked_keys
-- One snapshot of both sets: a key with a released message is served first, a stuck one keeps its later messages waiting.
SELECT key, bool_or(NOT redriven) AS stuck, bool_or(redriven) AS released
FROM ameide.parked WHERE consumer = %(consumer)s GROUP BY key

-- name: list_parked
-- What people must look at, and what waits for its next try.
SELECT consumer, key, position, message_id, name, error, parked_at, redriven, retry_at FROM ameide.parked ORDER BY consumer, position

-- name: due
-- The message that holds up each key whose pause is over.
SELECT position, tenant_id, topic, kind, key, message_id, name, aggregate_type, aggregate_id, aggregate_version,
    process_instance_id, correlation_id, causation_id, work_request_id, occurred_at, payload
FROM ameide.parked WHERE consumer = %(consumer)s AND NOT redriven AND retry_at <= clock_timestamp()
ORDER BY retry_at LIMIT %(limit)s

-- name: released
-- Messages that a person released, in order, before anything newer.
SELECT position, tenant_id, topic, kind, key, message_id, name, aggregate_type, aggregate_id, aggregate_version,
    process_instance_id, correlation_id, causation_id, work_request_id, occurred_at, payload, true AS redriven
FROM ameide.parked WHERE consumer = %(consumer)s AND redriven ORDER BY position LIMIT %(limit)s

-- name: lock_key
-- Who sets a message aside and who releases its key come one after the other: a consumer that reads from Kafka holds no
-- cursor that a release could wait for.
SELECT pg_advisory_xact_lock(hashtextextended(%(consumer)s || ' ' || %(key)s, 0))

-- name: park
-- A message that cannot be processed, or one behind such a message. What waits behind a released one is released with it,
-- and so is what was to wait behind one that has had its effect meanwhile.
-- With a pause its key is tried again by itself: after the pause, and later after as long as it has waited, at most a minute.
INSERT INTO ameide.parked (
    consumer, position, tenant_id, key, error, retry_at, redriven, topic, kind, message_id, name, aggregate_type, aggregate_id,
    aggregate_version, process_instance_id, correlation_id, causation_id, work_request_id, occurred_at, payload)
VALUES (
    %(consumer)s, %(position)s, %(tenant_id)s, %(key)s, %(error)s,
    clock_timestamp() + make_interval(secs => %(pause)s),
    %(behind)s AND NOT EXISTS (
        SELECT FROM ameide.parked p WHERE p.consumer = %(consumer)s AND p.key = %(key)s AND NOT p.redriven),
    %(topic)s, %(kind)s, %(message_id)s, %(name)s, %(aggregate_type)s, %(aggregate_id)s, %(aggregate_version)s,
    %(process_instance_id)s, %(correlation_id)s, %(causation_id)s, %(work_request_id)s, %(occurred_at)s, %(payload)s)
ON CONFLICT (consumer, position) DO UPDATE SET
    error = CASE WHEN %(behind)s THEN ameide.parked.error ELSE excluded.error END,
    retry_at = CASE WHEN %(behind)s THEN ameide.parked.retry_at WHEN excluded.retry_at IS NOT NULL THEN greatest(
        excluded.retry_at, clock_timestamp() + least(interval '1 minute', clock_timestamp() - ameide.parked.parked_at)) END,
    redriven = %(behind)s AND ameide.parked.redriven

-- name: hold_key
-- A released message failed again: the others of its key wait for the next release.
UPDATE ameide.parked SET redriven = false WHERE consumer = %(consumer)s AND key = %(key)s AND redriven

-- name: unpark
-- A released message has had its effect.
DELETE FROM ameide.parked WHERE consumer = %(consumer)s AND position = %(position)s

-- name: wait_for_cursor
-- Releasing a key waits for the batch in hand, so that all of a key's messages are released or none.
SELECT position FROM ameide.cursor WHERE name = %(name)s FOR UPDATE

-- name: redrive
-- A person removed the cause: deliver the key's messages again, in order.
UPDATE ameide.parked SET redriven = true WHERE consumer = %(consumer)s AND key = %(key)s AND NOT redriven

-- name: take
-- The oldest invitation nobody else is answering. The row stays locked until the transaction ends, and comes back if it is not removed.
SELECT queue, tenant_id, work_request_id, dispatch, position, enqueued_at
FROM ameide.queue_item WHERE queue = ANY(%(queues)s) ORDER BY position FOR UPDATE SKIP LOCKED LIMIT 1

-- name: remove_invitation
-- The invitation is used up: the Domain has answered the claim.
DELETE FROM ameide.queue_item
WHERE tenant_id = %(tenant_id)s AND work_request_id = %(work_request_id)s AND dispatch = %(dispatch)s

-- name: as_gateway
-- Invitations of all tenants are seen by the gateway role only, for the length of one transaction.
SET LOCAL ROLE ameide_gateway

-- name: outbox_age
-- How long the oldest message has waited for the relay; ids follow the order in which messages were written.
SELECT coalesce(extract(epoch FROM clock_timestamp() - (SELECT occurred_at FROM ameide.outbox ORDER BY id LIMIT 1)), 0)::float8 AS seconds

-- name: ready
-- Invitations that no executor has taken, by queue.
SELECT queue, count(*) AS waiting FROM ameide.queue_item GROUP BY queue

-- name: consumer_lag
-- How old the next message of a consumer is, and how many it has set aside. Reads past the consumer's lock.
SELECT coalesce(extract(epoch FROM clock_timestamp() - (
        SELECT l.occurred_at FROM ameide.log l
        WHERE l.position > (SELECT position FROM ameide.cursor WHERE name = %(consumer)s) ORDER BY l.position LIMIT 1)), 0)::float8 AS seconds,
    (SELECT count(*) FROM ameide.parked WHERE consumer = %(consumer)s) AS parked

-- name: briefly
-- A look for an operator must not hold a connection longer than the operator waits.
SET LOCAL statement_timeout = '2s'
