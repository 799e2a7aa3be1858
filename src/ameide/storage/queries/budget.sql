-- name: lock_allotted
-- Whoever reserves of a tenant's budget does it alone until it commits; last of all locks, so that nobody waits for one of
-- its other locks while it waits here. A tenant without a budget has no row, and its works wait for nobody.
SELECT state FROM ameide.aggregate WHERE tenant_id = %s AND kind = 'tenant_budget' AND id = %s FOR UPDATE

-- name: account
-- What works and conversations that count in a period have used, and what works still hold. After the lock, with a
-- snapshot of its own.
SELECT coalesce(sum(used_tokens), 0)::bigint AS used_tokens, coalesce(sum(used_cost_micros), 0)::bigint AS used_cost_micros,
    coalesce(sum(held_tokens), 0)::bigint AS held_tokens, coalesce(sum(held_cost_micros), 0)::bigint AS held_cost_micros
FROM (
    SELECT used_tokens, used_cost_micros, held_tokens, held_cost_micros
    FROM ameide.spend WHERE tenant_id = %(tenant)s AND requested_at >= %(since)s
    UNION ALL
    SELECT used_tokens, used_cost_micros, 0, 0
    FROM ameide.conversation_spend WHERE tenant_id = %(tenant)s AND month >= %(since)s
) AS counted

-- name: hold
-- What a work still holds, as its state says it; again with the same number changes nothing.
INSERT INTO ameide.spend AS s (tenant_id, work_request_id, requested_at, held_tokens, held_cost_micros)
VALUES (%s, %s, %s, %s, %s)
ON CONFLICT (tenant_id, work_request_id) DO UPDATE
SET held_tokens = excluded.held_tokens, held_cost_micros = excluded.held_cost_micros

-- name: use
-- What an attempt used, once: its claim ends in the same transaction. A work from before the account opens a row here.
INSERT INTO ameide.spend AS s (tenant_id, work_request_id, requested_at, used_tokens, used_cost_micros)
VALUES (%s, %s, %s, %s, %s)
ON CONFLICT (tenant_id, work_request_id) DO UPDATE
SET used_tokens = s.used_tokens + excluded.used_tokens, used_cost_micros = s.used_cost_micros + excluded.used_cost_micros

-- name: use_by_talking
-- What a conversation used in a month, in the transaction of the progress that tells it.
INSERT INTO ameide.conversation_spend AS s (tenant_id, conversation_id, month, used_tokens, used_cost_micros)
VALUES (%s, %s, %s, %s, %s)
ON CONFLICT (tenant_id, conversation_id, month) DO UPDATE
SET used_tokens = s.used_tokens + excluded.used_tokens, used_cost_micros = s.used_cost_micros + excluded.used_cost_micros
