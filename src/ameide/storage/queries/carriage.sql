-- name: carry
-- See the function: exactly these topics go by Kafka from now on.
SELECT ameide.carry(%(topics)s::text[]) AS changed

-- name: carried
-- What goes by Kafka.
SELECT topic FROM ameide.carriage WHERE by_kafka

-- name: adopt
-- What a forwarder that is no more has set aside, the ingress never had: delivered to it in order, before anything newer.
WITH left_over AS (
    DELETE FROM ameide.parked WHERE consumer = 'forwarder' AND topic = ANY(%(topics)s) RETURNING *)
INSERT INTO ameide.parked (
    consumer, position, tenant_id, key, error, redriven, topic, kind, message_id, name, aggregate_type, aggregate_id,
    aggregate_version, process_instance_id, correlation_id, causation_id, work_request_id, occurred_at, payload)
SELECT 'ingress', position, tenant_id,
    CASE WHEN process_instance_id <> '' THEN tenant_id || ':' || process_instance_id ELSE key END,
    error, true, topic, kind, message_id, name, aggregate_type, aggregate_id, aggregate_version, process_instance_id,
    correlation_id, causation_id, work_request_id, occurred_at, payload
FROM left_over ON CONFLICT (consumer, position) DO NOTHING

-- name: announce_moved
-- Invitations stay behind on the old way when a queue changes its carrier. The works are there: they are due to be
-- announced again, by the new one.
WITH moved AS (
    UPDATE ameide.carriage SET announced = true WHERE NOT announced RETURNING topic, by_kafka
), left_behind AS (
    DELETE FROM ameide.queue_item q USING moved m WHERE m.by_kafka AND q.queue = m.topic)
UPDATE ameide.work SET announce_at = least(announce_at, clock_timestamp())
WHERE status = 'requested' AND queue IN (SELECT topic FROM moved)

-- name: places
-- How far the log was given to Kafka, and how far what came out of it has had its effect. While the consumer's topics do
-- not go by Kafka the forwarder, which may carry queues still, passes them over: its place says nothing of them.
SELECT (SELECT position FROM ameide.cursor WHERE name = 'forwarder' AND (
        SELECT count(*) FROM ameide.carriage WHERE by_kafka AND topic = ANY(%(topics)s)) = cardinality(%(topics)s)) AS forwarded,
    (SELECT position FROM ameide.cursor WHERE name = %(consumer)s) AS passed

-- name: pass
-- A watermark only rises.
UPDATE ameide.cursor SET position = %(position)s WHERE name = %(consumer)s AND position < %(position)s
