-- name: archives
-- What left the log or may, oldest first.
SELECT first, last, manifest, manifest_sha256, bytes, archived_at, dropped_at FROM ameide.log_archive ORDER BY first

-- name: oldest
-- The partition that would go next, and how far the log and its slowest reader are. The sweeper's row is only its lock.
SELECT p.first, p.until - 1 AS last, h.position AS head, c.position AS passed, c.name AS slowest
FROM (SELECT first, until FROM ameide.log_partition ORDER BY first LIMIT 1) AS p, ameide.log_head h,
    (SELECT name, position FROM ameide.cursor WHERE name <> 'sweeper' ORDER BY position, name LIMIT 1) AS c

-- name: time_of
-- When the last message of a partition was said.
SELECT occurred_at FROM ameide.log WHERE position = %(position)s

-- name: message_twice
-- No index can promise this across partitions; before a partition leaves for good it is looked at.
SELECT message_id FROM ameide.log WHERE position BETWEEN %(first)s AND %(last)s
GROUP BY message_id HAVING count(*) > 1 LIMIT 1

-- name: record_archive
-- The first record of a partition stays: whoever archives it as well wrote the same objects, or objects nobody refers to.
INSERT INTO ameide.log_archive (first, last, manifest, manifest_sha256, bytes)
VALUES (%(first)s, %(last)s, %(manifest)s, %(sha256)s, %(bytes)s) ON CONFLICT (first) DO NOTHING

-- name: drop_archived
-- The database refuses what is not recorded, or not yet read by everybody.
SELECT ameide.drop_archived(%(first)s) AS outcome
