-- name: open_command
-- See the function: a key that was used comes with its fingerprint and the answer that the first successful call got.
SELECT now, fingerprint, response FROM ameide.open_command(%s, %s, %s)

-- name: finish_command
-- Stores the answer in the transaction of its effect.
INSERT INTO ameide.idempotency (tenant_id, command, client_request_id, fingerprint, response) VALUES (%s, %s, %s, %s, %s)

-- name: grounds
-- See the function: what a request for work rests on, its change and gates locked.
SELECT kind, state FROM ameide.grounds(%s, %s, %s, %s)

-- name: lock_aggregate
-- Locks before deciding, so that versions are contiguous and outbox ids follow them.
SELECT state FROM ameide.aggregate WHERE tenant_id = %s AND kind = %s AND id = %s FOR UPDATE

-- name: read_aggregate
-- A look without a lock, for what the decision only refers to.
SELECT state FROM ameide.aggregate WHERE tenant_id = %s AND kind = %s AND id = %s

-- name: lock_children
-- Locked in the order of ids, so that two commands on one parent can't deadlock.
SELECT state FROM ameide.aggregate WHERE tenant_id = %s AND kind = %s AND parent_id = %s ORDER BY id FOR UPDATE

-- name: read_children
-- A look without a lock.
SELECT state FROM ameide.aggregate WHERE tenant_id = %s AND kind = %s AND parent_id = %s ORDER BY id

-- name: save_aggregate
-- One row per aggregate; the whole state is its message.
INSERT INTO ameide.aggregate (tenant_id, kind, id, version, parent_id, status, due_at, state)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (tenant_id, kind, id) DO UPDATE
SET version = excluded.version, parent_id = excluded.parent_id, status = excluded.status, due_at = excluded.due_at, state = excluded.state

-- name: insert_aggregate
-- A new aggregate; a second one under the same id is a conflict, not an overwrite.
INSERT INTO ameide.aggregate (tenant_id, kind, id, version, parent_id, status, due_at, state)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT DO NOTHING

-- name: see_process_fact
-- Remembers each (run_epoch, seq); a known pair inserts nothing and does not come back.
INSERT INTO ameide.process_fact_seen (tenant_id, process_instance_id, run_epoch, seq)
SELECT %s, %s, run_epoch, seq FROM unnest(%s::integer[], %s::integer[]) AS said (run_epoch, seq)
ON CONFLICT DO NOTHING
RETURNING run_epoch, seq

-- name: token
-- Looked up in the context of the tenant that the token names.
SELECT t.principal_id, t.secret_sha256, t.queues, t.only_executes, t.scopes, false AS only_represented,
       t.expires_at, t.revoked_at, a.state, clock_timestamp() AS now
FROM ameide.api_token t JOIN ameide.aggregate a ON a.tenant_id = t.tenant_id AND a.kind = 'principal' AND a.id = t.principal_id
WHERE t.tenant_id = %s AND t.token_id = %s

-- name: delegated_token
-- As `token`, of one that was made from another: it ends with that one, and says no more than that one does.
SELECT t.principal_id, d.secret_sha256, '{}'::text[] AS queues, t.only_executes,
       CASE WHEN cardinality(d.scopes) > 0 THEN d.scopes ELSE t.scopes END AS scopes, cardinality(d.scopes) = 0 AS only_represented,
       least(d.expires_at, t.expires_at) AS expires_at, t.revoked_at, a.state, clock_timestamp() AS now
FROM ameide.delegated_token d
JOIN ameide.api_token t ON t.tenant_id = d.tenant_id AND t.token_id = d.parent_id
JOIN ameide.aggregate a ON a.tenant_id = t.tenant_id AND a.kind = 'principal' AND a.id = t.principal_id
WHERE d.tenant_id = %s AND d.token_id = %s

-- name: delegate_token
-- From a token that is valid now, as long as that one at most.
INSERT INTO ameide.delegated_token (tenant_id, token_id, parent_id, secret_sha256, scopes, expires_at)
SELECT tenant_id, %s, token_id, %s, %s, least(clock_timestamp() + make_interval(secs => %s), expires_at)
FROM ameide.api_token
WHERE tenant_id = %s AND token_id = %s AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > clock_timestamp())
RETURNING expires_at

-- name: drop_delegated
-- The tenant's expired ones, and those of a token beyond its newest. What another transaction deletes is left to it.
DELETE FROM ameide.delegated_token WHERE tenant_id = %s AND token_id IN (
    SELECT token_id FROM ameide.delegated_token d
    WHERE d.tenant_id = %s AND (d.expires_at <= clock_timestamp() OR d.token_id IN (
        SELECT o.token_id FROM ameide.delegated_token o
        WHERE o.tenant_id = %s AND o.parent_id = %s ORDER BY o.expires_at DESC OFFSET %s))
    FOR UPDATE SKIP LOCKED)

-- name: issue_token
-- Only the hash of the secret is stored.
INSERT INTO ameide.api_token (tenant_id, token_id, principal_id, secret_sha256, queues, only_executes, scopes, expires_at)
VALUES (%s, %s, %s, %s, %s, %s, %s, CASE WHEN %s::bigint = 0 THEN NULL ELSE clock_timestamp() + make_interval(secs => %s) END)
RETURNING token_id, principal_id, queues, only_executes, scopes, created_at, expires_at, revoked_at

-- name: list_tokens
-- Without anything of the secret.
SELECT token_id, principal_id, queues, only_executes, scopes, created_at, expires_at, revoked_at FROM ameide.api_token WHERE tenant_id = %s ORDER BY created_at

-- name: revoke_token
-- A revoked token stays revoked at its first time.
UPDATE ameide.api_token SET revoked_at = coalesce(revoked_at, clock_timestamp()) WHERE tenant_id = %s AND token_id = %s
RETURNING token_id, principal_id, queues, only_executes, scopes, created_at, expires_at, revoked_at

-- name: runs_under_way
-- Runs of a repository that are open or wait in line. A run lies under its change, a change under its repository.
SELECT r.id, r.status, CASE WHEN r.status = 'QUEUED' THEN r.state END AS state
FROM ameide.aggregate c JOIN ameide.aggregate r ON r.tenant_id = c.tenant_id AND r.kind = 'run' AND r.parent_id = c.id
WHERE c.tenant_id = %s AND c.kind = 'change' AND c.parent_id = %s AND r.status IN ('OPEN', 'QUEUED')
