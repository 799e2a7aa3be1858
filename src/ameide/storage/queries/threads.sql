-- name: hold
-- One turn at a time: the lock is the connection's, so that it ends with a process that is killed.
SELECT pg_try_advisory_lock(hashtextextended(%s, 0)) AS held

-- name: let_go
-- The connection goes back to its pool, which must not keep the lock.
SELECT pg_advisory_unlock(hashtextextended(%s, 0))

-- name: touch
-- A turn begins: how long words are kept counts from the last one. The person is who opened the conversation.
INSERT INTO architect.thread (tenant_id, conversation_id, person) VALUES (%s, %s, %s)
ON CONFLICT (tenant_id, conversation_id) DO UPDATE SET last_turn_at = clock_timestamp()

-- name: person
-- Whose conversation it is, as far as anything was said in it.
SELECT person FROM architect.thread WHERE tenant_id = %s AND conversation_id = %s

-- name: forget
-- Everything that was said; the rows of the Domain are not here.
WITH gone AS (DELETE FROM architect.thread WHERE tenant_id = %(tenant)s AND conversation_id = %(conversation)s),
     writes AS (DELETE FROM architect.checkpoint_writes WHERE thread_id = %(thread)s),
     blobs AS (DELETE FROM architect.checkpoint_blobs WHERE thread_id = %(thread)s)
DELETE FROM architect.checkpoints WHERE thread_id = %(thread)s

-- name: old
-- Conversations in which nothing was said for so long, the oldest first.
SELECT conversation_id FROM architect.thread
WHERE tenant_id = %s AND last_turn_at < clock_timestamp() - make_interval(days => %s)
ORDER BY last_turn_at LIMIT 100

-- name: is_old
-- Looked at again by who holds the thread: a turn may have come in between.
SELECT 1 FROM architect.thread
WHERE tenant_id = %s AND conversation_id = %s AND last_turn_at < clock_timestamp() - make_interval(days => %s)
