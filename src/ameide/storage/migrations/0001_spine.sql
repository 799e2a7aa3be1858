-- The spine: state, idempotency, outbox, log, queues, cursors, projections.
-- Every tenant table has tenant_id first in its key, forced row-level security, and explicit policies per role.

CREATE SCHEMA IF NOT EXISTS ameide;

CREATE TABLE ameide.aggregate (
    tenant_id text NOT NULL,
    kind text NOT NULL,
    id text NOT NULL,
    version bigint NOT NULL,
    parent_id text NOT NULL DEFAULT '',
    status text NOT NULL DEFAULT '',
    due_at timestamptz,
    state bytea NOT NULL,
    PRIMARY KEY (tenant_id, kind, id)
) WITH (fillfactor = 80);
CREATE INDEX aggregate_parent ON ameide.aggregate (tenant_id, kind, parent_id);
CREATE INDEX aggregate_due ON ameide.aggregate (due_at) WHERE due_at IS NOT NULL;

CREATE TABLE ameide.api_token (
    tenant_id text NOT NULL,
    token_id text NOT NULL,
    principal_id text NOT NULL,
    secret_sha256 bytea NOT NULL,
    queues text[] NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz,
    revoked_at timestamptz,
    PRIMARY KEY (tenant_id, token_id)
);

-- The hot table of delegated work. Nothing that a heartbeat touches lies here: leases are rows of `attempt`.
CREATE TABLE ameide.work (
    tenant_id text NOT NULL,
    work_request_id text NOT NULL,
    process_instance_id text NOT NULL DEFAULT '',
    change_id text NOT NULL DEFAULT '',
    queue text NOT NULL,
    status text NOT NULL,
    attempt integer NOT NULL DEFAULT 0,
    dispatch integer NOT NULL DEFAULT 1,
    lost_claims integer NOT NULL DEFAULT 0,
    cancel_requested boolean NOT NULL DEFAULT false,
    announce_at timestamptz,
    claim_deadline timestamptz,
    version bigint NOT NULL,
    state bytea NOT NULL,
    PRIMARY KEY (tenant_id, work_request_id)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01);
CREATE INDEX work_of_change ON ameide.work (tenant_id, change_id);
CREATE INDEX work_announce ON ameide.work (announce_at) WHERE status = 'requested';

-- One row per claim; the row of the current attempt is the lease. No index on the lease column keeps heartbeats HOT.
CREATE TABLE ameide.attempt (
    tenant_id text NOT NULL,
    work_request_id text NOT NULL,
    attempt integer NOT NULL,
    claim_id text NOT NULL,
    principal_id text NOT NULL,
    runner text NOT NULL DEFAULT '',
    claimed_at timestamptz NOT NULL,
    lease_until timestamptz NOT NULL,
    run_until timestamptz NOT NULL,
    last_heartbeat_at timestamptz NOT NULL,
    heartbeats integer NOT NULL DEFAULT 0,
    usage bytea NOT NULL DEFAULT '',
    log_tail text NOT NULL DEFAULT '',
    ended_at timestamptz,
    ended_by text NOT NULL DEFAULT '',
    queue_wait_ms bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant_id, work_request_id, attempt)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01);
CREATE INDEX attempt_running ON ameide.attempt (tenant_id, work_request_id) WHERE ended_at IS NULL;

-- What the accepted outcome of a work left behind, whole: facts only carry an extract and its id. Executors choose the
-- ids of bundles, so the work is the key.
CREATE TABLE ameide.evidence (
    tenant_id text NOT NULL,
    evidence_bundle_id text NOT NULL,
    work_request_id text NOT NULL,
    change_id text NOT NULL DEFAULT '',
    attempt integer NOT NULL,
    recorded_at timestamptz NOT NULL,
    body bytea NOT NULL,
    PRIMARY KEY (tenant_id, work_request_id)
);
CREATE INDEX evidence_id ON ameide.evidence (tenant_id, evidence_bundle_id);
CREATE INDEX evidence_of_change ON ameide.evidence (tenant_id, change_id);

CREATE TABLE ameide.idempotency (
    tenant_id text NOT NULL,
    command text NOT NULL,
    client_request_id text NOT NULL,
    fingerprint bytea NOT NULL,
    response bytea NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant_id, command, client_request_id)
);

CREATE TABLE ameide.process_fact_seen (
    tenant_id text NOT NULL,
    process_instance_id text NOT NULL,
    run_epoch integer NOT NULL,
    seq integer NOT NULL,
    PRIMARY KEY (tenant_id, process_instance_id, run_epoch, seq)
);

-- The cache of 1 makes ids follow the order in which they were taken under the aggregate's lock.
CREATE SEQUENCE ameide.outbox_id CACHE 1;
CREATE TABLE ameide.outbox (
    id bigint PRIMARY KEY DEFAULT nextval('ameide.outbox_id'),
    tenant_id text NOT NULL,
    topic text NOT NULL,
    kind text NOT NULL,
    key text NOT NULL,
    message_id text NOT NULL,
    name text NOT NULL,
    aggregate_type text NOT NULL,
    aggregate_id text NOT NULL,
    aggregate_version bigint NOT NULL,
    process_instance_id text NOT NULL,
    correlation_id text NOT NULL,
    causation_id text NOT NULL,
    work_request_id text NOT NULL,
    occurred_at timestamptz NOT NULL,
    payload bytea NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.01);

CREATE TABLE ameide.log_head (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    position bigint NOT NULL
);
INSERT INTO ameide.log_head (position) VALUES (0);

CREATE TABLE ameide.log (
    position bigint PRIMARY KEY,
    tenant_id text NOT NULL,
    topic text NOT NULL,
    kind text NOT NULL,
    key text NOT NULL,
    message_id text NOT NULL,
    name text NOT NULL,
    aggregate_type text NOT NULL,
    aggregate_id text NOT NULL,
    aggregate_version bigint NOT NULL,
    process_instance_id text NOT NULL,
    correlation_id text NOT NULL,
    causation_id text NOT NULL,
    work_request_id text NOT NULL,
    occurred_at timestamptz NOT NULL,
    payload bytea NOT NULL
);

CREATE TABLE ameide.queue_item (
    queue text NOT NULL,
    tenant_id text NOT NULL,
    work_request_id text NOT NULL,
    dispatch integer NOT NULL,
    position bigint NOT NULL,
    enqueued_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant_id, work_request_id)
) WITH (autovacuum_vacuum_scale_factor = 0.01);
CREATE INDEX queue_item_ready ON ameide.queue_item (queue, position);

CREATE TABLE ameide.cursor (
    name text PRIMARY KEY,
    position bigint NOT NULL
);
INSERT INTO ameide.cursor (name, position) VALUES ('ingress', 0), ('projector', 0), ('sweeper', 0);

CREATE TABLE ameide.parked (
    consumer text NOT NULL,
    position bigint NOT NULL,
    tenant_id text NOT NULL,
    key text NOT NULL,
    error text NOT NULL,
    parked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- Released by a person, to be delivered again before anything newer.
    redriven boolean NOT NULL DEFAULT false,
    topic text NOT NULL,
    kind text NOT NULL,
    message_id text NOT NULL,
    name text NOT NULL,
    aggregate_type text NOT NULL,
    aggregate_id text NOT NULL,
    aggregate_version bigint NOT NULL,
    process_instance_id text NOT NULL,
    correlation_id text NOT NULL,
    causation_id text NOT NULL,
    work_request_id text NOT NULL,
    occurred_at timestamptz NOT NULL,
    payload bytea NOT NULL,
    PRIMARY KEY (consumer, position)
);
CREATE INDEX parked_key ON ameide.parked (consumer, tenant_id, key, position);

CREATE TABLE ameide.view_fact (
    tenant_id text NOT NULL,
    position bigint NOT NULL,
    topic text NOT NULL,
    name text NOT NULL,
    message_id text NOT NULL,
    occurred_at timestamptz NOT NULL,
    actor text NOT NULL,
    on_behalf_of text NOT NULL,
    aggregate_type text NOT NULL,
    aggregate_id text NOT NULL,
    aggregate_version bigint NOT NULL,
    change_id text NOT NULL,
    process_instance_id text NOT NULL,
    work_request_id text NOT NULL,
    causation_id text NOT NULL,
    text text NOT NULL,
    PRIMARY KEY (tenant_id, position)
);
CREATE INDEX view_fact_message ON ameide.view_fact (tenant_id, message_id);
CREATE INDEX view_fact_change ON ameide.view_fact (tenant_id, change_id, position);
-- The timeline finds by work, and by cause, what does not name the change itself.
CREATE INDEX view_fact_work ON ameide.view_fact (tenant_id, work_request_id) WHERE work_request_id <> '';
CREATE INDEX view_fact_cause ON ameide.view_fact (tenant_id, causation_id) WHERE change_id = '' AND causation_id <> '';

CREATE TABLE ameide.view_state (
    tenant_id text NOT NULL,
    kind text NOT NULL,
    id text NOT NULL,
    version bigint NOT NULL,
    change_id text NOT NULL,
    process_instance_id text NOT NULL,
    repository_id text NOT NULL,
    status text NOT NULL,
    position bigint NOT NULL,
    first_position bigint NOT NULL,
    body bytea NOT NULL,
    PRIMARY KEY (tenant_id, kind, id)
);
CREATE INDEX view_state_change ON ameide.view_state (tenant_id, kind, change_id);
CREATE INDEX view_state_order ON ameide.view_state (tenant_id, kind, first_position);

CREATE TABLE ameide.view_process (
    tenant_id text NOT NULL,
    process_instance_id text NOT NULL,
    change_id text NOT NULL,
    phase text NOT NULL,
    awaiting text NOT NULL,
    position bigint NOT NULL,
    PRIMARY KEY (tenant_id, process_instance_id)
);

-- Rights. The application sees one tenant, the others see what their task needs, nobody owns or bypasses anything.
GRANT USAGE ON SCHEMA ameide TO ameide_app, ameide_gateway, ameide_relay, ameide_sweeper, ameide_ingress, ameide_projector;

DO $$
DECLARE
    t text;
    app_writes text[] := ARRAY['aggregate', 'api_token', 'work', 'attempt', 'idempotency', 'process_fact_seen'];
    app_reads text[] := ARRAY['log', 'view_fact', 'view_state', 'view_process', 'parked'];
    grants text[][] := ARRAY[
        ['ameide_gateway', 'queue_item', 'SELECT, UPDATE, DELETE'],
        ['ameide_relay', 'outbox', 'SELECT, DELETE'],
        ['ameide_relay', 'log', 'SELECT, INSERT'],
        ['ameide_relay', 'queue_item', 'SELECT, INSERT, UPDATE'],
        ['ameide_sweeper', 'work', 'SELECT, UPDATE'],
        ['ameide_sweeper', 'attempt', 'SELECT, UPDATE'],
        ['ameide_sweeper', 'aggregate', 'SELECT, UPDATE'],
        ['ameide_sweeper', 'outbox', 'SELECT, INSERT'],
        ['ameide_sweeper', 'queue_item', 'SELECT, DELETE'],
        ['ameide_ingress', 'log', 'SELECT'],
        ['ameide_ingress', 'parked', 'SELECT, INSERT, UPDATE, DELETE'],
        ['ameide_projector', 'log', 'SELECT'],
        ['ameide_projector', 'parked', 'SELECT, INSERT, UPDATE, DELETE'],
        ['ameide_projector', 'view_fact', 'SELECT, INSERT, UPDATE, DELETE'],
        ['ameide_projector', 'view_state', 'SELECT, INSERT, UPDATE, DELETE'],
        ['ameide_projector', 'view_process', 'SELECT, INSERT, UPDATE, DELETE']
    ];
    g text[];
BEGIN
    FOREACH t IN ARRAY ARRAY['aggregate', 'api_token', 'work', 'attempt', 'evidence', 'idempotency', 'process_fact_seen', 'outbox',
                             'log', 'queue_item', 'parked', 'view_fact', 'view_state', 'view_process'] LOOP
        EXECUTE format('ALTER TABLE ameide.%I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE ameide.%I FORCE ROW LEVEL SECURITY', t);
    END LOOP;
    -- After SET LOCAL the setting is '' and not NULL, hence nullif: no tenant set means no row, read or written.
    FOREACH t IN ARRAY app_writes LOOP
        EXECUTE format('CREATE POLICY app ON ameide.%I TO ameide_app USING (tenant_id = nullif(current_setting(''ameide.tenant_id'', true), ''''))', t);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE ON ameide.%I TO ameide_app', t);
    END LOOP;
    FOREACH t IN ARRAY app_reads LOOP
        EXECUTE format('CREATE POLICY app ON ameide.%I FOR SELECT TO ameide_app USING (tenant_id = nullif(current_setting(''ameide.tenant_id'', true), ''''))', t);
        EXECUTE format('GRANT SELECT ON ameide.%I TO ameide_app', t);
    END LOOP;
    FOREACH t IN ARRAY ARRAY['outbox', 'queue_item', 'evidence'] LOOP
        EXECUTE format('CREATE POLICY app ON ameide.%I TO ameide_app USING (tenant_id = nullif(current_setting(''ameide.tenant_id'', true), ''''))', t);
    END LOOP;
    GRANT SELECT, INSERT ON ameide.outbox TO ameide_app;
    -- Written once, never changed.
    GRANT SELECT, INSERT ON ameide.evidence TO ameide_app;
    GRANT SELECT, DELETE ON ameide.queue_item TO ameide_app;
    FOREACH g SLICE 1 IN ARRAY grants LOOP
        EXECUTE format('CREATE POLICY %I ON ameide.%I TO %I USING (true)', g[1], g[2], g[1]);
        EXECUTE format('GRANT %s ON ameide.%I TO %I', g[3], g[2], g[1]);
    END LOOP;
END
$$;

GRANT USAGE ON SEQUENCE ameide.outbox_id TO ameide_app, ameide_sweeper;
GRANT SELECT, UPDATE ON ameide.log_head TO ameide_relay;
GRANT SELECT ON ameide.log_head TO ameide_app, ameide_ingress, ameide_projector;
GRANT SELECT, UPDATE ON ameide.cursor TO ameide_ingress, ameide_projector, ameide_sweeper;
GRANT SELECT ON ameide.cursor TO ameide_app;
