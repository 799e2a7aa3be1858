-- name: role
-- One row a role, however many replicas: the last one that took a turn speaks for all.
INSERT INTO ameide.role_seen (role, seen_at, trouble) VALUES (%s, clock_timestamp(), %s)
ON CONFLICT (role) DO UPDATE SET seen_at = excluded.seen_at, trouble = excluded.trouble

-- name: queues
-- Once each and sorted, so that two polls can't deadlock. A shorter poll does not hide that a longer one still waits.
-- Of several executors of a principal the last one says whether it comes back.
INSERT INTO ameide.queue_served AS s (tenant_id, queue, principal_id, seen_at, served_until, comes_back)
SELECT %(tenant)s, queue, %(principal)s, clock_timestamp(), clock_timestamp() + make_interval(secs => %(seconds)s),
    %(comes_back)s
FROM (SELECT DISTINCT unnest(%(queues)s::text[]) AS queue ORDER BY 1) AS q
ON CONFLICT (tenant_id, queue, principal_id) DO UPDATE
SET seen_at = excluded.seen_at, served_until = greatest(s.served_until, excluded.served_until),
    comes_back = excluded.comes_back
