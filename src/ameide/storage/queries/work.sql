-- name: insert
-- The durable work. The invitation follows through the outbox.
INSERT INTO ameide.work (
    tenant_id, work_request_id, process_instance_id, change_id, queue, status, attempt, dispatch, lost_claims,
    cancel_requested, announce_at, claim_deadline, version, state)
VALUES (
    %(tenant_id)s, %(work_request_id)s, %(process_instance_id)s, %(change_id)s, %(queue)s, %(status)s, %(attempt)s,
    %(dispatch)s, %(lost_claims)s, %(cancel_requested)s, %(announce_at)s, %(claim_deadline)s, %(version)s, %(state)s)

-- name: save
-- Several at once. The whole state is the message; the columns are what the sweeper and the heartbeat look at.
UPDATE ameide.work AS w SET
    status = s.status, attempt = s.attempt, dispatch = s.dispatch, lost_claims = s.lost_claims,
    cancel_requested = s.cancel_requested, announce_at = s.announce_at, claim_deadline = s.claim_deadline,
    version = s.version, state = s.state
FROM unnest(
    %s::text[], %s::text[], %s::text[], %s::integer[], %s::integer[], %s::integer[], %s::boolean[], %s::timestamptz[],
    %s::timestamptz[], %s::bigint[], %s::bytea[]) AS s (
    tenant_id, work_request_id, status, attempt, dispatch, lost_claims, cancel_requested, announce_at, claim_deadline,
    version, state)
WHERE w.tenant_id = s.tenant_id AND w.work_request_id = s.work_request_id

-- name: lock
-- Every decision about a work is made under its row's lock. In the order of ids, so that two of these can't deadlock.
SELECT state FROM ameide.work WHERE tenant_id = %s AND work_request_id = ANY(%s) ORDER BY work_request_id FOR UPDATE

-- name: find
-- A look without a lock: an ended work stays as it is.
SELECT state FROM ameide.work WHERE tenant_id = %s AND work_request_id = %s

-- name: lock_open_of_change
-- In the order of ids, so that two of these can't deadlock.
SELECT state FROM ameide.work
WHERE tenant_id = %s AND change_id = %s AND status IN ('requested', 'started') ORDER BY work_request_id FOR UPDATE

-- name: of_change
-- What the change has done so far, for gates and budgets; the change is locked.
SELECT state FROM ameide.work WHERE tenant_id = %s AND change_id = %s ORDER BY work_request_id

-- name: of_queue
-- Those of one queue only, for who wrote code in a change.
SELECT state FROM ameide.work WHERE tenant_id = %s AND change_id = %s AND queue = %s ORDER BY work_request_id

-- name: claims_of
-- Who claimed some works and what it used, lost claims included.
SELECT work_request_id, attempt, claim_id, principal_id, run_until, usage, ended_at, ended_by
FROM ameide.attempt WHERE tenant_id = %s AND work_request_id = ANY(%s) ORDER BY work_request_id, attempt

-- name: claim
-- The claims of some attempts; of the current attempt it is the lease. Locked, after their works: a heartbeat locks nothing
-- else, and what it was acknowledged to have used must be in what the outcome settles.
SELECT a.work_request_id, a.attempt, a.claim_id, a.principal_id, a.run_until, a.usage, a.ended_at, a.ended_by
FROM unnest(%s::text[], %s::integer[]) AS asked (work_request_id, attempt)
JOIN ameide.attempt a USING (work_request_id, attempt) WHERE a.tenant_id = %s ORDER BY a.work_request_id FOR UPDATE OF a

-- name: insert_claim
-- Several at once. The wait of each counts from when its work last became free to claim.
INSERT INTO ameide.attempt (
    tenant_id, work_request_id, attempt, claim_id, principal_id, runner, claimed_at, lease_until, run_until,
    last_heartbeat_at, queue_wait_ms)
SELECT c.tenant_id, c.work_request_id, c.attempt, c.claim_id, c.principal_id, c.runner, c.now, c.lease_until,
    c.run_until, c.now, greatest(0, round(extract(epoch FROM c.now - coalesce(
        (SELECT max(a.ended_at) FROM ameide.attempt a
         WHERE a.tenant_id = c.tenant_id AND a.work_request_id = c.work_request_id), c.requested_at)) * 1000))
FROM unnest(
    %s::text[], %s::text[], %s::integer[], %s::text[], %s::text[], %s::text[], %s::timestamptz[], %s::timestamptz[],
    %s::timestamptz[], %s::timestamptz[]) AS c (
    tenant_id, work_request_id, attempt, claim_id, principal_id, runner, now, lease_until, run_until, requested_at)

-- name: extend
-- Extends the lease of the running claim, past its end too as long as nobody swept it, but never past run_until.
UPDATE ameide.attempt a SET
    lease_until = least(clock_timestamp() + make_interval(secs => %(lease_seconds)s), a.run_until),
    last_heartbeat_at = clock_timestamp(), heartbeats = a.heartbeats + 1,
    usage = coalesce(%(usage)s, a.usage), log_tail = coalesce(%(log_tail)s, a.log_tail)
FROM ameide.work w
WHERE a.tenant_id = %(tenant_id)s AND a.work_request_id = %(work_request_id)s AND a.attempt = %(attempt)s
    AND a.claim_id = %(claim_id)s AND a.principal_id = %(principal_id)s AND a.ended_at IS NULL
    AND w.tenant_id = a.tenant_id AND w.work_request_id = a.work_request_id AND w.attempt = a.attempt
RETURNING w.cancel_requested, a.lease_until, a.run_until

-- name: end_claim
-- Ends claims; their pairs are fenced from now on.
UPDATE ameide.attempt AS a SET ended_at = e.now, ended_by = e.ended_by, usage = e.usage
FROM unnest(%s::text[], %s::text[], %s::integer[], %s::timestamptz[], %s::text[], %s::bytea[])
    AS e (tenant_id, work_request_id, attempt, now, ended_by, usage)
WHERE a.tenant_id = e.tenant_id AND a.work_request_id = e.work_request_id AND a.attempt = e.attempt
    AND a.ended_at IS NULL

-- name: insert_evidence
-- In the transaction of the outcomes that list it. A work ends once, so it has one bundle.
INSERT INTO ameide.evidence (tenant_id, evidence_bundle_id, work_request_id, change_id, attempt, recorded_at, body)
SELECT * FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::integer[], %s::timestamptz[], %s::bytea[])

-- name: remove_invitation
-- Claim, cancel and end use up whatever invitations are waiting.
DELETE FROM ameide.queue_item AS q USING unnest(%s::text[], %s::text[]) AS u (tenant_id, work_request_id)
WHERE q.tenant_id = u.tenant_id AND q.work_request_id = u.work_request_id

-- name: next_works
-- See the function: the claim's own works, or those of the oldest invitations that nobody else is answering.
SELECT work_request_id, running, state FROM ameide.next_works(%s, %s, %s, %s, %s)

-- name: lock_sweep
-- Whoever gets this row sweeps; replicas skip it and stay quiet.
SELECT clock_timestamp() AS now FROM ameide.cursor WHERE name = 'sweeper' FOR UPDATE SKIP LOCKED

-- name: next_lost
-- A running claim whose lease has passed. The database's clock is the only one that counts.
SELECT w.tenant_id, w.state, a.usage FROM ameide.attempt a
JOIN ameide.work w ON w.tenant_id = a.tenant_id AND w.work_request_id = a.work_request_id AND w.attempt = a.attempt
WHERE a.ended_at IS NULL AND a.lease_until <= clock_timestamp()
ORDER BY a.lease_until LIMIT 1 FOR UPDATE OF w, a SKIP LOCKED

-- name: next_waiting
-- An unclaimed work whose next announcement, or whose end, is due.
SELECT tenant_id, state, claim_deadline FROM ameide.work
WHERE status = 'requested' AND announce_at <= clock_timestamp()
ORDER BY announce_at LIMIT 1 FOR UPDATE SKIP LOCKED

-- name: next_due_gate
-- An open gate whose time is over.
SELECT tenant_id, state FROM ameide.aggregate
WHERE kind = 'gate' AND due_at <= clock_timestamp() ORDER BY due_at LIMIT 1 FOR UPDATE SKIP LOCKED

-- name: save_gate
-- Its due time goes with its being open.
UPDATE ameide.aggregate SET version = %s, status = %s, due_at = NULL, state = %s
WHERE tenant_id = %s AND kind = 'gate' AND id = %s
