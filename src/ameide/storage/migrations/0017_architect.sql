-- What was said in conversations with the Architect agent, and how far each turn is. It is the agent's own: its role sees
-- nothing of the Domain, and no other role sees this. The tables named checkpoint… are as LangGraph's PostgreSQL
-- checkpointer expects them; a thread is called <tenant>/<conversation>.
CREATE SCHEMA architect;

CREATE TABLE architect.thread (
    tenant_id text NOT NULL,
    conversation_id text NOT NULL,
    person text NOT NULL,
    last_turn_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant_id, conversation_id)
);
-- For the sweep of what is kept no longer.
CREATE INDEX thread_age ON architect.thread (tenant_id, last_turn_at);

CREATE TABLE architect.checkpoints (
    thread_id text NOT NULL,
    checkpoint_ns text NOT NULL DEFAULT '',
    checkpoint_id text NOT NULL,
    parent_checkpoint_id text,
    type text,
    checkpoint jsonb NOT NULL,
    metadata jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (thread_id, checkpoint_ns, checkpoint_id)
);

CREATE TABLE architect.checkpoint_blobs (
    thread_id text NOT NULL,
    checkpoint_ns text NOT NULL DEFAULT '',
    channel text NOT NULL,
    version text NOT NULL,
    type text NOT NULL,
    blob bytea,
    PRIMARY KEY (thread_id, checkpoint_ns, channel, version)
);

CREATE TABLE architect.checkpoint_writes (
    thread_id text NOT NULL,
    checkpoint_ns text NOT NULL DEFAULT '',
    checkpoint_id text NOT NULL,
    task_id text NOT NULL,
    idx integer NOT NULL,
    channel text NOT NULL,
    type text,
    blob bytea NOT NULL,
    task_path text NOT NULL DEFAULT '',
    PRIMARY KEY (thread_id, checkpoint_ns, checkpoint_id, task_id, idx)
);

ALTER TABLE architect.thread ENABLE ROW LEVEL SECURITY;
ALTER TABLE architect.thread FORCE ROW LEVEL SECURITY;
CREATE POLICY architect ON architect.thread TO ameide_architect
    USING (tenant_id = nullif(current_setting('ameide.tenant_id', true), ''));

DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['checkpoints', 'checkpoint_blobs', 'checkpoint_writes'] LOOP
        EXECUTE format('ALTER TABLE architect.%I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE architect.%I FORCE ROW LEVEL SECURITY', t);
        -- The tenant's name has no slash in it.
        EXECUTE format('CREATE POLICY architect ON architect.%I TO ameide_architect '
                       'USING (split_part(thread_id, ''/'', 1) = nullif(current_setting(''ameide.tenant_id'', true), ''''))', t);
    END LOOP;
END
$$;

GRANT USAGE ON SCHEMA architect TO ameide_architect;
GRANT SELECT, INSERT, UPDATE, DELETE
    ON architect.thread, architect.checkpoints, architect.checkpoint_blobs, architect.checkpoint_writes TO ameide_architect;
-- Every role looks at the schema before it works.
GRANT USAGE ON SCHEMA ameide TO ameide_architect;
GRANT SELECT ON ameide.schema_version TO ameide_architect;
