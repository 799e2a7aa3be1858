-- Who is at work, as far as the database can know. Nothing is decided by it; people are told by `ameide status`.

-- A role of the control plane, when it last took a turn.
CREATE TABLE ameide.role_seen (
    role text PRIMARY KEY,
    seen_at timestamptz NOT NULL
) WITH (fillfactor = 50);

-- An executor at a queue: until when its poll waits there. No index on the times keeps the updates HOT.
CREATE TABLE ameide.queue_served (
    tenant_id text NOT NULL,
    queue text NOT NULL,
    principal_id text NOT NULL,
    seen_at timestamptz NOT NULL,
    served_until timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, queue, principal_id)
) WITH (fillfactor = 50);

ALTER TABLE ameide.queue_served ENABLE ROW LEVEL SECURITY;
ALTER TABLE ameide.queue_served FORCE ROW LEVEL SECURITY;
CREATE POLICY app ON ameide.queue_served TO ameide_app
    USING (tenant_id = nullif(current_setting('ameide.tenant_id', true), ''));
GRANT SELECT, INSERT, UPDATE ON ameide.queue_served TO ameide_app;
GRANT SELECT, INSERT, UPDATE ON ameide.role_seen TO ameide_relay, ameide_sweeper, ameide_ingress, ameide_projector;
GRANT SELECT ON ameide.role_seen TO ameide_app;
