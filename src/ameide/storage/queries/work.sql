-- name: insert
-- The durable work. The invitation follows through the outbox.
INSERT INTO ameide.work (
    tenant_id, work_request_id, process_instance_id, change_id, queue, status, attempt, dispatch, lost_claims,
    cancel_requested, announce_at, claim_deadline, version, state)
VALUES (
    %(tenant_id)s, %(work_request_id)s, %(process_instance_id)s, %(change_id)s, %(queue)s, %(status)s, %(attempt)s,
    %(dispatch)s, %(lost_claims)s, %(cancel_requested)s, %(announce_at)s, %(claim_deadline)s, %(version)s, %(state)s)

-- name: save
-- The whole state is the message; the columns are what the sweeper and the heartbeat look at.
UPDATE ameide.work SET
    status = %(status)s, attempt = %(attempt)s, dispatch = %(dispatch)s, lost_claims = %(lost_claims)s,
    cancel_requested = %(cancel_requested)s, announce_at = %(announce_at)s, claim_deadline = %(claim_deadline)s,
    version = %(version)s, state = %(state)s
WHERE tenant_id = %(tenant_id)s AND work_request_id = %(work_request_id)s

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
SELECT work_request_id, attempt, claim_id, principal_id, run_until, usage, ended_at, ended_by, by_gateway
FROM ameide.attempt WHERE tenant_id = %s AND work_request_id = ANY(%s) ORDER BY work_request_id, attempt

-- name: claim
-- The claims of some attempts; of the current attempt it is the lease. Locked, after their works: a heartbeat locks nothing
-- else, and what it was acknowledged to have used must be in what the outcome settles.
SELECT a.work_request_id, a.attempt, a.claim_id, a.principal_id, a.run_until, a.usage, a.ended_at, a.ended_by,
    a.by_gateway
FROM unnest(%s::text[], %s::integer[]) AS asked (work_request_id, attempt)
JOIN ameide.attempt a USING (work_request_id, attempt) WHERE a.tenant_id = %s ORDER BY a.work_request_id FOR UPDATE OF a

-- name: insert_claim
-- The wait counts from when the work last became free to claim.
INSERT INTO ameide.attempt (
    tenant_id, work_request_id, attempt, claim_id, principal_id, runner, claimed_at, lease_until, run_until,
    last_heartbeat_at, queue_wait_ms)
VALUES (
    %(tenant_id)s, %(work_request_id)s, %(attempt)s, %(claim_id)s, %(principal_id)s, %(runner)s, %(now)s,
    %(lease_until)s, %(run_until)s, %(now)s, greatest(0, round(extract(epoch FROM %(now)s - coalesce(
        (SELECT max(ended_at) FROM ameide.attempt
         WHERE tenant_id = %(tenant_id)s AND work_request_id = %(work_request_id)s), %(requested_at)s)) * 1000)))

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
-- Ends a claim; its pair is fenced from now on.
UPDATE ameide.attempt SET ended_at = %s, ended_by = %s, usage = %s
WHERE tenant_id = %s AND work_request_id = %s AND attempt = %s AND ended_at IS NULL

-- name: by_gateway
-- The attempt has opened an upload: its evidence may name nothing else.
UPDATE ameide.attempt SET by_gateway = true
WHERE tenant_id = %s AND work_request_id = %s AND attempt = %s AND NOT by_gateway

-- name: uploads
-- What an attempt has put, or begun to put, through the gateway. Its work is locked.
SELECT name, bytes, sha256 FROM ameide.upload WHERE tenant_id = %s AND work_request_id = %s AND attempt = %s

-- name: begin_upload
-- Holds room before the first byte comes. What is stored stays as it is; what was cut off may come with another size, but
-- gives no room back before it is stored, since the larger one may still be on its way.
INSERT INTO ameide.upload (tenant_id, work_request_id, attempt, name, bytes) VALUES (%s, %s, %s, %s, %s)
ON CONFLICT (tenant_id, work_request_id, attempt, name) DO UPDATE SET bytes = greatest(upload.bytes, EXCLUDED.bytes)
WHERE upload.sha256 = ''

-- name: finish_upload
-- The hash that the Domain saw, once the object is there.
UPDATE ameide.upload SET bytes = %s, sha256 = %s
WHERE tenant_id = %s AND work_request_id = %s AND attempt = %s AND name = %s AND sha256 = ''

-- name: insert_evidence
-- In the transaction of the outcome that lists it. A work ends once, so it has one bundle.
INSERT INTO ameide.evidence (tenant_id, evidence_bundle_id, work_request_id, change_id, attempt, recorded_at, body)
VALUES (%s, %s, %s, %s, %s, %s, %s)

-- name: remove_invitation
-- Claim, cancel and end use up whatever invitation is waiting.
DELETE FROM ameide.queue_item WHERE tenant_id = %s AND work_request_id = %s

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
